//! The settings that are read, and the messages about the ones that are invalid.

use super::*;

pub fn load(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Settings::from_environment(environment)
}

fn refusal(variables: &[(&str, &str)]) -> String {
    load(variables).unwrap_err().to_string()
}

#[test]
fn nothing_set_gives_the_defaults() {
    let settings = load(&[]).unwrap();
    assert_eq!(settings.http.port, 8080);
    assert_eq!(settings.management.port, 8081);
    assert_eq!(settings.deletion.max_ids, 1000);
    assert_eq!(settings.http.max_body_bytes, 1_048_576);
    assert!(settings.database.share_statements);
}

#[test]
fn the_environment_is_read() {
    let settings = load(&[
        ("CUSTOMER_DELETION__HTTP__PORT", "9000"),
        ("CUSTOMER_DELETION__DATABASE__DEADLINE_MS", "1000"),
        ("CUSTOMER_DELETION__DATABASE__SHARE_STATEMENTS", "false"),
        ("CUSTOMER_DELETION__REQUESTER__HEADER__NAME", "X-Customer"),
    ])
    .unwrap();
    assert_eq!(settings.http.port, 9000);
    assert_eq!(settings.database.deadline, Duration::from_secs(1));
    assert!(!settings.database.share_statements);
    assert_eq!(settings.requester.header.name, "X-Customer");
}

#[test]
fn white_space_around_a_value_means_nothing() {
    let text = "[requester.header]\nname = \"X-File \"\n";
    let settings = with_file(text, |(name, path)| {
        load(&[
            (name, &format!("{path}\n")),
            ("DATABASE_URL", "postgres://me@localhost/name\n"),
            ("CUSTOMER_DELETION__HTTP__PORT", " 9000\r\n"),
            ("CUSTOMER_DELETION__LOG__FORMAT", "text\n"),
        ])
    })
    .unwrap();
    assert_eq!((settings.http.port, settings.log.format), (9000, LogFormat::Text));
    assert_eq!(settings.requester.header.name, "X-File");
    assert_eq!(settings.database.connect_options().unwrap().get_database(), Some("name"));
}

#[test]
fn a_bad_value_is_named() {
    let message = refusal(&[("CUSTOMER_DELETION__HTTP__PORT", "eighty")]);
    assert!(message.starts_with("CUSTOMER_DELETION__HTTP__PORT: "), "{message}");
    assert!(message.contains("eighty"), "{message}");
}

#[test]
fn a_misspelt_setting_is_named() {
    let message = refusal(&[("CUSTOMER_DELETION__HTTP__PROT", "8080")]);
    assert!(message.starts_with("CUSTOMER_DELETION__HTTP"), "{message}");
    assert!(message.contains("prot"), "{message}");
}

#[test]
fn session_settings_are_sent_or_given() {
    let setting = "CUSTOMER_DELETION__DATABASE__SESSION_SETTINGS";
    assert_eq!(load(&[]).unwrap().database.session_settings, SessionSettings::Sent);
    assert_eq!(load(&[(setting, "given")]).unwrap().database.session_settings, SessionSettings::Given);
    let message = refusal(&[(setting, "taken")]);
    assert!(message.starts_with(setting) && message.contains("taken"), "{message}");
}

#[test]
fn the_waits_of_a_call_follow_from_its_deadline() {
    for (deadline, acquire, statement, lock, operation_lock) in
        [(2500, 2000, 2000, 1500, 1000), (9000, 7200, 7200, 5400, 3600), (5, 4, 4, 3, 2)]
    {
        let database = DatabaseSettings { deadline: Duration::from_millis(deadline), ..DatabaseSettings::default() };
        let waits = [
            database.acquire_timeout(),
            database.statement_timeout(),
            database.lock_timeout(),
            database.operation_lock_timeout(),
        ];
        assert_eq!(waits, [acquire, statement, lock, operation_lock].map(Duration::from_millis));
    }
}

#[test]
fn an_actor_has_a_header_or_a_claim_of_its_own() {
    let peers = ("CUSTOMER_DELETION__REQUESTER__HEADER__TRUSTED_PEERS", "10.0.0.0/8");
    let header = |name| {
        let actor = ("CUSTOMER_DELETION__REQUESTER__HEADER__ACTOR_NAME", name);
        let settings = load(&[("CUSTOMER_DELETION__REQUESTER__SOURCE", "header"), peers, actor]).unwrap();
        settings.requester.source().map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(header("X-Actor-Id"), Ok(()));
    assert_eq!(header(""), Ok(()));
    for (name, problem) in
        [("x-requester-id", "must not be the header that names the requester"), ("a b", "is not a header name")]
    {
        let refused = header(name).unwrap_err();
        assert!(refused.starts_with("CUSTOMER_DELETION__REQUESTER__HEADER__ACTOR_NAME: ") && refused.contains(problem));
    }
    let claim = ("CUSTOMER_DELETION__REQUESTER__JWT__ACTOR_CLAIM", "sub,name");
    let refused = load(&[JWT, claim]).unwrap().requester.source().unwrap_err().to_string();
    assert_eq!(refused, "CUSTOMER_DELETION__REQUESTER__JWT__ACTOR_CLAIM: must name one claim");
}

#[test]
fn a_burst_is_a_burst_of_a_rate() {
    let burst = ("CUSTOMER_DELETION__REQUESTER__RATE_BURST", "10");
    assert_eq!(
        refusal(&[burst]),
        "CUSTOMER_DELETION__REQUESTER__RATE_BURST: has no effect without CUSTOMER_DELETION__REQUESTER__RATE_PER_SECOND"
    );
    assert!(load(&[burst, ("CUSTOMER_DELETION__REQUESTER__RATE_PER_SECOND", "5")]).is_ok());
}

#[test]
fn the_longest_call_ends_before_gateways_give_up() {
    let body_timeout = |milliseconds| ("CUSTOMER_DELETION__HTTP__BODY_TIMEOUT_MS", milliseconds);
    let drain = ("CUSTOMER_DELETION__HTTP__DRAIN_SECONDS", "20");
    assert!(load(&[body_timeout("17500"), drain]).is_ok());
    let message = refusal(&[body_timeout("17501"), drain]);
    assert!(message.starts_with("CUSTOMER_DELETION__HTTP__BODY_TIMEOUT_MS: must be"), "{message}");

    assert!(load(&[JWT, body_timeout("15500"), drain]).is_ok());
    let message = refusal(&[JWT, body_timeout("15501"), drain]);
    assert!(message.contains("CUSTOMER_DELETION__DATABASE__DEADLINE_MS and the 2s for a key"), "{message}");
}

#[test]
fn the_drain_is_as_long_as_a_call_may_wait() {
    let drain = |seconds| ("CUSTOMER_DELETION__HTTP__DRAIN_SECONDS", seconds);
    assert!(load(&[JWT]).is_ok());
    assert!(load(&[drain("13")]).is_ok());
    assert_eq!(
        refusal(&[drain("12")]),
        "CUSTOMER_DELETION__HTTP__DRAIN_SECONDS: must be at least 13, which is how long a call may wait"
    );
    assert!(refusal(&[JWT, drain("14")]).contains("must be at least 15"));
}

#[test]
fn one_underscore_after_the_prefix_is_noticed() {
    for name in ["CUSTOMER_DELETION_HTTP__PORT", "CUSTOMER_DELETION_CONFIG__", "customer_deletion_http__port"] {
        let message = refusal(&[(name, "9000")]);
        assert!(message.starts_with(&format!("{name}: is not a setting")), "{message}");
    }
    for name in [
        "CUSTOMER_DELETION_DEMO_PG_BIN",
        "CUSTOMER_DELETION_PORT",
        "CUSTOMER_DELETION_SERVICE_HOST",
        "CUSTOMER_DELETION_PORT_8080_TCP",
        "CUSTOMER_DELETION_SERVICE_PORT_HTTP",
        "CUSTOMER_DELETIONS__PORT",
    ] {
        assert!(load(&[(name, "9000")]).is_ok(), "{name}");
    }
}

#[test]
fn a_missing_file_is_named() {
    for file in ["/nowhere/settings.toml", ""] {
        let message = refusal(&[("CUSTOMER_DELETION_CONFIG", file)]);
        assert!(message.starts_with(&format!("CUSTOMER_DELETION_CONFIG: {file}")), "{message}");
    }
}

/// A file that is there while the test looks at the variable that names it.
fn with_file<T>(text: &str, look: impl FnOnce((&str, &str)) -> T) -> T {
    let file = std::env::temp_dir().join(format!("customer-deletion-{}.toml", uuid::Uuid::now_v7()));
    std::fs::write(&file, text).unwrap();
    let seen = look(("CUSTOMER_DELETION_CONFIG", file.to_str().unwrap()));
    std::fs::remove_file(&file).unwrap();
    seen
}

#[test]
fn a_line_of_the_file_that_is_not_understood_is_not_shown() {
    let text = "[database]\nurl = \"postgres://me:hunter2@here/there\" x\n";
    let message = with_file(text, |file| refusal(&[file]));
    assert!(message.contains("line 2") && !message.contains("hunter2"), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");

    let misplaced = refusal(&[("CUSTOMER_DELETION__HTTP__PORT", "postgres://me:hunter2@here/there")]);
    assert!(!misplaced.contains("hunter2"), "{misplaced}");
}

#[test]
fn database_url_is_another_name_and_gives_way() {
    let own = ("CUSTOMER_DELETION__DATABASE__URL", "postgres://own@localhost/own");
    let common = ("DATABASE_URL", "postgres://common@localhost/common");
    let database = |variables: &[(&str, &str)]| {
        let options = load(variables).unwrap().database.connect_options().unwrap();
        options.get_database().unwrap().to_owned()
    };
    assert_eq!(database(&[common]), "common");
    assert_eq!(database(&[common, own]), "own");
    assert_eq!(database(&[common, (own.0, "")]), "common");

    let text = "[database]\nurl = \"postgres://file@localhost/file\"\n";
    let seen = with_file(text, |file| [database(&[file]), database(&[file, common]), database(&[file, common, own])]);
    assert_eq!(seen, ["file", "common", "own"], "the environment wins");
}

#[test]
fn a_missing_database_is_named() {
    let error = load(&[]).unwrap().database.connect_options().unwrap_err();
    assert!(error.to_string().starts_with("CUSTOMER_DELETION__DATABASE__URL: is not set"), "{error}");
}

#[test]
fn a_bad_database_url_does_not_show_its_password() {
    let settings = load(&[("DATABASE_URL", "postgres//me:hunter2@here")]).unwrap();
    let error = settings.database.connect_options().unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn without_a_requester_source_there_is_no_start() {
    let error = load(&[]).unwrap().requester.source().unwrap_err();
    assert!(error.to_string().starts_with("CUSTOMER_DELETION__REQUESTER__SOURCE: is not set"), "{error}");
}

#[test]
fn the_header_source_needs_its_trusted_peers() {
    let source = ("CUSTOMER_DELETION__REQUESTER__SOURCE", "header");
    let error = load(&[source]).unwrap().requester.source().unwrap_err();
    assert!(
        error.to_string().starts_with("CUSTOMER_DELETION__REQUESTER__HEADER__TRUSTED_PEERS: is not set"),
        "{error}"
    );

    let peers = ("CUSTOMER_DELETION__REQUESTER__HEADER__TRUSTED_PEERS", "::1, ::ffff:10.0.0.0/104");
    let error = load(&[source, peers]).unwrap().requester.source().unwrap_err();
    assert_eq!(
        error.to_string(),
        "CUSTOMER_DELETION__REQUESTER__HEADER__TRUSTED_PEERS: `::ffff:10.0.0.0/104` is a network of IPv4; write it like 10.0.0.0/8"
    );
    let peers = ("CUSTOMER_DELETION__REQUESTER__HEADER__TRUSTED_PEERS", "10.0.0.0/8, ::1, nonsense");
    let error = load(&[source, peers]).unwrap().requester.source().unwrap_err();
    assert_eq!(
        error.to_string(),
        "CUSTOMER_DELETION__REQUESTER__HEADER__TRUSTED_PEERS: `nonsense` is not a network like 10.0.0.0/8"
    );
}

pub const JWT: (&str, &str) = ("CUSTOMER_DELETION__REQUESTER__SOURCE", "jwt");
