//! Every form of a URL is read or refused by name, and no message shows a part of it.

use sqlx::postgres::PgSslMode;

use super::*;

const NONE: [(&str, &str); 0] = [];

fn read(url: &str, environment: impl Into<Environment>) -> Result<PgConnectOptions, String> {
    options(url, &environment.into()).map_err(|error| error.to_string())
}

/// `user:password@host:port/database`, with the mode if it is not the default.
fn summary(options: &PgConnectOptions) -> String {
    // Only its debug format tells the password.
    let debug = format!("{options:?}");
    let password = debug.split_once("password: Some(\"").unwrap().1.split_once("\"), database").unwrap().0;
    let host = options.get_socket().map_or(options.get_host(), |socket| socket.to_str().unwrap());
    let mode = match options.get_ssl_mode() {
        PgSslMode::Prefer => String::new(),
        mode => format!(" {mode:?}"),
    };
    let (user, port, database) = (options.get_username(), options.get_port(), options.get_database());
    format!("{user}:{password}@{host}:{port}/{}{mode}", database.unwrap_or_default())
}

#[track_caller]
fn assert_refused(url: &str, environment: impl Into<Environment>, message: &str) {
    let problem = read(url, environment).expect_err(url);
    let problem = problem.strip_prefix("CUSTOMER_DELETION__DATABASE__URL: ").unwrap_or(&problem);
    assert!(problem.starts_with(message), "{url}: {problem}");
}

#[test]
fn the_forms_of_libpq_are_read() {
    for (url, expected) in [
        ("postgres://u:p@db.example:5433/app", "u:p@db.example:5433/app"),
        ("postgresql://u:p@db.example/app", "u:p@db.example:5432/app"),
        ("postgres://u@db_1.example", "u:@db_1.example:5432/"),
        ("postgres://u@h/", "u:@h:5432/"),
        ("postgres://u:@h/app?", "u:@h:5432/app"),
        ("postgres://u:p@[::1]:5433/app", "u:p@::1:5433/app"),
        ("postgres://u:p@[2001:db8::7]/app", "u:p@2001:db8::7:5432/app"),
        ("postgres://u:p@[fe80::1%25eth0]/app", "u:p@fe80::1%eth0:5432/app"),
        ("postgres://u:p@/app?host=/cloudsql/p:r:i", "u:p@/cloudsql/p:r:i:5432/app"),
        ("postgres://u:p@localhost/app?host=/cloudsql/x", "u:p@/cloudsql/x:5432/app"),
        ("postgres://u:p@%2Fcloudsql%2Fx:5433/app", "u:p@/cloudsql/x:5433/app"),
        ("postgres://u:p@:5433/app?host=db.example", "u:p@db.example:5433/app"),
        ("postgres:///app?host=h&port=5433&user=u&password=p", "u:p@h:5433/app"),
        ("postgres://h?user=u&dbname=app", "u:@h:5432/app"),
        ("postgres://?host=::1&user=u", "u:@::1:5432/"),
        ("postgres://u@/app?hostaddr=10.0.0.7", "u:@10.0.0.7:5432/app"),
        ("postgres://u:p@ss@h/app", "u:p@ss@h:5432/app"),
        ("postgres://u:p:q@h/app", "u:p:q@h:5432/app"),
        ("postgres://u:a+b@h/app?password=c+d", "u:c+d@h:5432/app"),
        ("postgres://a%40b:%2F%3F%23%40%25@h/a%20b", "a@b:/?#@%@h:5432/a b"),
        // The last line of a mounted file.
        ("postgres://u:p@h/app\n", "u:p@h:5432/app"),
        ("postgres://u:p@h/app?sslmode=verify-full", "u:p@h:5432/app VerifyFull"),
        ("postgres://u:p@h/app?sslmode=disable", "u:p@h:5432/app Disable"),
        ("postgres://u:p@h/app?sslmode=prefer&statement-cache-capacity=100", "u:p@h:5432/app"),
    ] {
        assert_eq!(read(url, NONE).map(|options| summary(&options)).as_deref(), Ok(expected), "{url}");
    }
}

#[test]
fn options_are_passed_on() {
    let options = read("postgres://u@h/app?options=-c%20role%3Downer%20-c%20jit=off", NONE).unwrap();
    assert!(options.get_options().unwrap().ends_with("-c role=owner -c jit=off"), "{options:?}");
}

#[test]
fn what_is_no_url_of_postgresql_is_not_taken_for_one() {
    for url in [
        "http://u:p@h/app",
        "mysql://u:p@h/app",
        "jdbc:postgresql://h/app",
        "postgresql+asyncpg://u:p@h/app",
        "db.example.com:5432/app",
        "postgres:app",
        "postgres:/h/app",
        "host=h dbname=app user=u",
        "/run/postgresql",
        "app",
        "",
    ] {
        assert_refused(
            url,
            NONE,
            "must be postgres://user:password@host:port/database; other forms, like `host=HOST dbname=NAME`",
        );
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (url, message) in [
        ("postgres://u:p@h1:5432,h2:5432/app", "has several hosts, which is not supported"),
        ("postgres://u:p@/app?host=h1,h2", "`host` has several hosts"),
        ("postgres://u:p@/app?hostaddr=10.0.0.7,10.0.0.8", "`hostaddr` has several hosts"),
        ("postgres://u:p@h/app?port=5432,5433", "`port` must be a number"),
        ("postgres://u:p@h:0/app", "`port` must be a number"),
        ("postgres://u:p@h:65536/app", "`port` must be a number"),
        ("postgres://u:p@h:http/app", "`port` must be a number"),
        ("postgres://u:p@::1/app", "`port` must be a number from 1 to 65535; an IPv6 address stands in brackets"),
        ("postgres://u:p@[::1/app", "has a `[` without a `]`"),
        ("postgres://u:p@[::1]5432/app", "has more than a port after the `]`"),
        ("postgres://u:p@[db.example:1]/app", "`host` must be a name"),
        ("postgres://u:p@/app?host=db.example:5432", "`host` must be a name"),
        ("postgres://u:p@/app?host=%40abstract", "`host` must be a name"),
        ("postgres://u:p@h/app?hostaddr=10.0.0.7", "`hostaddr` is set beside a host"),
        ("postgres://u:p@/app?hostaddr=db.example", "`hostaddr` must be an IP address"),
        ("postgres://u:p@/app", "has no host, and PGHOST is not set"),
        ("postgres:///app", "has no host"),
        ("postgres://:p@h/app", "has no user, and PGUSER is not set"),
        ("postgres://u:p@h/app?sslmode=disable&sslmode=verify-full", "has `sslmode` twice"),
        ("postgres://u:p@h/a b", "has a space or a line break"),
        ("postgres://u:p\n@h/app", "has a space or a line break"),
        ("postgres://u:100%@h/app", "`password` has a `%` that is not followed by two hexadecimal digits"),
        ("postgres://u:%zz@h/app", "`password` has a `%`"),
        ("postgres://u%:p@h/app", "`user` has a `%`"),
        ("postgres://u:%ff@h/app", "`password` is not UTF-8"),
        ("postgres://u:p%00q@h/app", "`password` has %00"),
    ] {
        assert_refused(url, NONE, message);
    }
}

/// It would be taken for a host, a parameter or a database, and shown.
#[test]
fn a_part_of_a_password_is_taken_for_nothing_else() {
    for secret in
        ["12?hunter2", "12/hunter2", "12#hunter2", "hunter2?sslmode=x", "12?hunter2=x&y=z", "?#/", "hunter2/?"]
    {
        let url = format!("postgres://u:{secret}@h/app");
        assert_refused(&url, NONE, "has an `@` or a `#` after its host");
        assert!(!read(&url, NONE).unwrap_err().contains("hunter2"));
    }
}

#[test]
fn parameters_that_would_be_ignored_are_refused() {
    for (query, message) in [
        ("sslmode=verify_full", "`sslmode` must be `disable`, `prefer`, `require`, `verify-ca` or `verify-full`"),
        ("sslmode=VERIFY-FULL", "`sslmode` must be"),
        ("sslmode=", "`sslmode` must be"),
        ("sslmode", "`sslmode` must be"),
        ("sslmode=allow", "`sslmode` is not supported as `allow`"),
        ("ssl=true", "`ssl` is not supported: write sslmode=require"),
        ("passwrod=hunter2", "has `passwrod`, which is not a supported parameter"),
        ("SSLMODE=require", "has `SSLMODE`, which is not a supported parameter"),
        ("options[jit]=off", "has `options[jit]`, which is not a supported parameter"),
        ("%3Ahunter2%3A=1", "has a parameter whose name is not a word"),
        ("statement-cache-capacity=many", "`statement-cache-capacity` must be a whole number"),
        (
            "connect_timeout=10",
            "`connect_timeout` is not supported: remove it; CUSTOMER_DELETION__DATABASE__DEADLINE_MS",
        ),
        ("application_name=x", "`application_name` is not supported"),
        ("keepalives=1", "`keepalives` is not supported"),
        ("channel_binding=require", "`channel_binding` is supported only as `disable` or `prefer`"),
        ("target_session_attrs=standby", "`target_session_attrs` is supported only as `any` or `read-write`"),
        ("sslnegotiation=direct", "`sslnegotiation` is supported only as `postgres`"),
        ("sslrootcert=/nowhere&sslmode=disable", "`sslrootcert` is used only with an sslmode of `require`"),
        ("sslrootcert=/nowhere", "`sslrootcert` is used only with an sslmode of `require`"),
        ("sslrootcert=/nowhere&sslmode=verify-full", "`sslrootcert` names a file that cannot be read"),
        ("sslrootcert=/dev/null&sslmode=verify-ca", "`sslrootcert` has no `CERTIFICATE` of the format PEM in it"),
        ("sslrootcert=system&sslmode=verify-full", "`sslrootcert` is not supported as `system`"),
        ("sslrootcert=-----BEGIN%20CERTIFICATE-----&sslmode=require", "`sslrootcert` names a file that cannot be read"),
        ("sslkey=/dev/null&sslmode=require", "`sslkey` has no `PRIVATE KEY`"),
        ("host=/run/postgresql&sslmode=require", "`sslmode` asks for TLS, which a socket does not have"),
        ("passfile=/nowhere", "`passfile` names a file that cannot be read"),
    ] {
        let url = format!("postgres://u@h/app?{query}");
        assert_refused(&url, NONE, message);
        assert!(!read(&url, NONE).unwrap_err().contains("hunter2"));
    }
    for query in ["target_session_attrs=read-write", "channel_binding=prefer", "sslnegotiation=postgres", "sslsni=1"] {
        assert!(read(&format!("postgres://u@h/app?{query}"), NONE).is_ok(), "{query}");
    }
}

#[test]
fn a_variable_says_what_the_url_leaves_open() {
    let host = [("PGHOST", "h"), ("PGPORT", "5433"), ("PGUSER", "u"), ("PGPASSWORD", "p"), ("PGDATABASE", "app")];
    assert_eq!(read("postgres://", host).map(|options| summary(&options)).as_deref(), Ok("u:p@h:5433/app"));
    let url = "postgres://me:secret@there:1/other?sslmode=disable";
    assert_eq!(read(url, host).map(|options| summary(&options)).as_deref(), Ok("me:secret@there:1/other Disable"));
    let full = [("PGSSLMODE", "verify-full")];
    assert_eq!(read("postgres://u@h", full).map(|options| summary(&options)).as_deref(), Ok("u:@h:5432/ VerifyFull"));
}

#[test]
fn a_variable_that_would_be_ignored_is_refused() {
    for (variable, value, message) in [
        ("PGSSLMODE", "verify_full", "PGSSLMODE: must be `disable`, `prefer`"),
        ("PGSSLMODE", "", "PGSSLMODE: must be `disable`, `prefer`"),
        ("PGSSL_MODE", "verify-full", "PGSSL_MODE: is not a supported variable of PostgreSQL"),
        ("PGREQUIRE_AUTH", "scram-sha-256", "PGREQUIRE_AUTH: is not a supported variable of PostgreSQL"),
        ("PGCHANNEL_BINDING", "require", "PGCHANNEL_BINDING: is not a supported variable of PostgreSQL"),
        ("PGTARGETSESSIONATTR", "primary", "PGTARGETSESSIONATTR: is not a supported variable of PostgreSQL"),
        ("PGGSSENC", "require", "PGGSSENC: is not a supported variable of PostgreSQL"),
        ("PGPORT", "abc", "PGPORT: must be a number"),
        ("PGHOSTADDR", "10.0.0.7", "PGHOSTADDR: is set beside a host"),
        ("PGSERVICE", "s", "PGSERVICE: is not supported: service files"),
        ("PGCONNECT_TIMEOUT", "10", "PGCONNECT_TIMEOUT: is not supported: remove it"),
        ("PGTARGETSESSIONATTRS", "any-port", "PGTARGETSESSIONATTRS: is supported only as"),
        ("PGCHANNELBINDING", "require", "PGCHANNELBINDING: is supported only as"),
        ("PGSSLNEGOTIATION", "direct", "PGSSLNEGOTIATION: is supported only as"),
        ("PGREQUIREAUTH", "scram-sha-256", "PGREQUIREAUTH: is not supported"),
        ("PGSSLROOTCERT", "/nowhere", "PGSSLROOTCERT: is used only with an sslmode of"),
        ("PGPASSFILE", "/nowhere", "PGPASSFILE: names a file that cannot be read"),
    ] {
        let url = if variable == "PGPORT" { "postgres://u@h/app" } else { "postgres://u@h:5432/app" };
        assert_refused(url, [(variable, value)], message);
    }
}

/// The mode of the URL does not make a misspelt variable harmless.
#[test]
fn a_misspelt_variable_is_refused_beside_a_mode_in_the_url() {
    for mode in ["prefer", "require", "verify-full"] {
        let url = format!("postgres://u@h:5432/app?sslmode={mode}");
        assert_refused(&url, [("PGSSLROOTCERTS", "/ca.pem")], "PGSSLROOTCERTS: is not a supported variable");
    }
    let url = "postgres://u@h:5432/app?sslmode=disable";
    assert_refused(url, [("PGREQUIRE_AUTH", "md5")], "PGREQUIRE_AUTH: is not a supported variable");
}

#[test]
fn a_variable_that_is_not_about_the_connection_stops_nothing() {
    for (variable, value) in [
        ("PGSSLMODE", "verify_full"),
        ("PGPORT", "abc"),
        ("PGSSL_MODE", "verify-full"),
        ("PGSSLROOTCERT", "/nowhere"),
        ("PGSSLROOTCERT", "system"),
        ("PGPASSFILE", "/nowhere"),
        ("PGHOST", "a,b"),
        ("PGHOSTADDR", ""),
        ("PGAPPNAME", "psql"),
        ("PGCLIENTENCODING", "LATIN1"),
        ("PGGSSLIB", "gssapi"),
        ("PGTZ", "CET"),
        ("PGDATA", "/var/lib/postgresql"),
        ("PG_MAJOR", "17"),
        ("PGBOUNCER_SERVICE_HOST", "10.0.0.7"),
    ] {
        let url = "postgres://u:p@h:5432/app?sslmode=disable";
        assert!(read(url, [(variable, value)]).is_ok(), "{variable}");
    }
}

#[test]
fn a_variable_that_is_not_utf_8_is_named_where_it_counts() {
    use std::os::unix::ffi::OsStringExt;
    let password = std::ffi::OsString::from_vec(vec![b'p', 0xff]);
    let environment = Environment::from([("PGPASSWORD", password)]);
    assert_refused("postgres://u@h/app", environment.clone(), "PGPASSWORD: is not UTF-8");
    assert!(read("postgres://u:p@h/app", environment).is_ok());
}

/// As libpq does. sqlx would not look at the authority with `require`.
#[test]
fn an_authority_is_not_given_in_vain() {
    let authority = TestFile::new("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", 0o644);
    let url = format!("postgres://u@h/app?sslmode=require&sslrootcert={}", authority.path());
    assert!(matches!(read(&url, NONE).unwrap().get_ssl_mode(), PgSslMode::VerifyCa));
    let environment = [("PGSSLROOTCERT", authority.path())];
    let options = read("postgres://u@h/app?sslmode=require", environment).unwrap();
    assert!(matches!(options.get_ssl_mode(), PgSslMode::VerifyCa));
    assert!(matches!(read("postgres://u@h/app?sslmode=require", NONE).unwrap().get_ssl_mode(), PgSslMode::Require));
    let url = format!("postgres://u@h/app?sslmode=require&sslcert={}", authority.path());
    assert_refused(&url, NONE, "`sslcert` is set without sslkey");
}

#[test]
fn a_password_is_looked_up_in_a_file_that_is_nobody_elses() {
    let file = TestFile::new("h:5432:app:u:hunter2\nh:5432:broken\n", 0o600);
    let variable = [("PGPASSFILE", file.path())];
    for (url, expected) in [
        ("postgres://u@h/app", "u:hunter2@h:5432/app"),
        ("postgres://u:p@h/app", "u:p@h:5432/app"),
        ("postgres://u@h/other", "u:@h:5432/other"),
    ] {
        assert_eq!(read(url, variable).map(|options| summary(&options)).as_deref(), Ok(expected), "{url}");
    }
    let shared = TestFile::new("h:5432:app:u:hunter2\n", 0o640);
    assert_refused(
        "postgres://u@h/app",
        [("PGPASSFILE", shared.path())],
        "PGPASSFILE: names a file that others may read",
    );

    let home = TestFile::new("", 0o600);
    std::fs::remove_file(home.path()).unwrap();
    std::fs::create_dir(home.path()).unwrap();
    let variable = [("HOME", home.path())];
    assert_eq!(read("postgres://u@h/app", variable).map(|options| summary(&options)).as_deref(), Ok("u:@h:5432/app"));
    let usual = home.path().to_owned() + "/.pgpass";
    std::fs::write(&usual, "*:*:*:*:hunter3").unwrap();
    assert_refused("postgres://u@h/app", variable, "~/.pgpass: others may read");
    std::fs::remove_dir_all(home.path()).unwrap();
}

#[test]
fn the_environment_shows_no_value() {
    let environment = Environment::from([("PGPASSWORD", "hunter2")]);
    assert_eq!(format!("{environment:?}"), r#"{"PGPASSWORD"}"#);
}

#[test]
fn the_documentation_tells_of_every_parameter() {
    let page = include_str!("../../../docs/operating.md");
    for name in PARAMETERS.iter().flat_map(|parameter| [Some(parameter.name), parameter.variable]).flatten() {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}

/// Removed when it is dropped.
struct TestFile(std::path::PathBuf);

impl TestFile {
    fn new(content: &str, mode: u32) -> TestFile {
        use std::os::unix::fs::PermissionsExt;
        let path = std::env::temp_dir().join(format!("customer-deletion-{}", uuid::Uuid::now_v7()));
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        TestFile(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TestFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
