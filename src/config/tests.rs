//! Every bad setting is named as people set it.

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
        ("CUSTOMER_DELETION__DATABASE__LOCK_TIMEOUT_MS", "700"),
        ("CUSTOMER_DELETION__DATABASE__SHARE_STATEMENTS", "false"),
        ("CUSTOMER_DELETION__REQUESTER__HEADER__NAME", "X-Customer"),
    ])
    .unwrap();
    assert_eq!(settings.http.port, 9000);
    assert_eq!(settings.database.lock_timeout, Duration::from_millis(700));
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
fn a_zero_is_named() {
    for setting in [
        "DATABASE__MAX_CONNECTIONS",
        "HTTP__MAX_BODY_BYTES",
        "HTTP__MAX_IN_FLIGHT",
        "HTTP__MAX_CONNECTIONS",
        "HTTP__WORKERS",
        "DELETION__MAX_IDS",
    ] {
        let setting = format!("CUSTOMER_DELETION__{setting}");
        assert_eq!(refusal(&[(&setting, "0")]), format!("{setting}: must be at least 1"));
    }
}

#[test]
fn a_connection_is_kept_for_some_time() {
    let message = refusal(&[("CUSTOMER_DELETION__HTTP__KEEP_ALIVE_MS", "0")]);
    assert_eq!(message, "CUSTOMER_DELETION__HTTP__KEEP_ALIVE_MS: must be more than 0");
}

#[test]
fn a_migration_waits_for_some_time_and_not_for_ever() {
    for (name, too_long, shown) in [("LOCK_TIMEOUT_MS", "86400001", "86400s"), ("PATIENCE_SECONDS", "86401", "86400s")]
    {
        let setting = format!("CUSTOMER_DELETION__MIGRATION__{name}");
        assert_eq!(refusal(&[(&setting, "0")]), format!("{setting}: must be at least 1"));
        assert_eq!(refusal(&[(&setting, too_long)]), format!("{setting}: must be at most {shown}"));
    }
}

#[test]
fn the_queue_has_bounds() {
    for (name, least, most) in [
        ("WORKERS", 0, 64),
        ("MAX_IDS", 1, 1_000_000),
        ("MAX_BODY_BYTES", 1, 64 * 1024 * 1024),
        ("MAX_WAITING", 1, 100_000),
        ("RUN_TIMEOUT_SECONDS", 1, 3600),
        ("LEASE_SECONDS", 5, 45),
        ("MAX_ATTEMPTS", 1, 100),
    ] {
        let setting = format!("CUSTOMER_DELETION__QUEUE__{name}");
        let with = |value: i64| load(&[(&setting, &value.to_string())]);
        assert!(with(least).is_ok() && with(most).is_ok(), "{setting}");
        let problem = format!("{setting}: must be {least} to {most}");
        assert_eq!(refusal(&[(&setting, &(most + 1).to_string())]), problem);
        if least > 0 {
            assert_eq!(refusal(&[(&setting, &(least - 1).to_string())]), problem);
        }
    }
}

#[test]
fn an_operation_waits_for_a_lock_for_some_time_and_no_longer_than_it_may_take() {
    let lock = "CUSTOMER_DELETION__QUEUE__LOCK_TIMEOUT_MS";
    let problem = format!("{lock}: must be more than 0 and no more than CUSTOMER_DELETION__QUEUE__RUN_TIMEOUT_SECONDS");
    for (wait, fits) in [("0", false), ("1", true), ("120000", true), ("120001", false)] {
        assert_eq!(
            load(&[(lock, wait)]).map(|_| ()).map_err(|error| error.to_string()),
            if fits { Ok(()) } else { Err(problem.clone()) }
        );
    }
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
fn waits_must_nest() {
    for (inner, outer, outer_wait) in [
        ("LOCK_TIMEOUT_MS", "STATEMENT_TIMEOUT_MS", 2000),
        ("STATEMENT_TIMEOUT_MS", "DEADLINE_MS", 2500),
        ("ACQUIRE_TIMEOUT_MS", "DEADLINE_MS", 2500),
    ] {
        let inner = format!("CUSTOMER_DELETION__DATABASE__{inner}");
        let problem = format!("{inner}: must be more than 0 and less than CUSTOMER_DELETION__DATABASE__{outer}");
        for wait in [outer_wait, outer_wait + 1] {
            assert_eq!(refusal(&[(&inner, &wait.to_string())]), problem, "{wait}");
        }
        // No wait at all is refused as well; of a statement as one that is too short for its locks.
        let message = refusal(&[(&inner, "0")]);
        assert!(message.contains("TIMEOUT_MS: must be more than 0 and less than"), "{message}");
        assert!(load(&[(&inner, &(outer_wait - 1).to_string())]).is_ok(), "{inner}");
    }
}

#[test]
fn a_body_is_given_some_time() {
    let message = refusal(&[("CUSTOMER_DELETION__HTTP__BODY_TIMEOUT_MS", "0")]);
    assert!(message.starts_with("CUSTOMER_DELETION__HTTP__BODY_TIMEOUT_MS: must be more than 0"), "{message}");
}

#[test]
fn a_burst_is_a_burst_of_a_rate() {
    let burst = ("CUSTOMER_DELETION__REQUESTER__RATE_BURST", "10");
    assert_eq!(
        refusal(&[burst]),
        "CUSTOMER_DELETION__REQUESTER__RATE_BURST: is of no use without CUSTOMER_DELETION__REQUESTER__RATE_PER_SECOND"
    );
    assert!(load(&[burst, ("CUSTOMER_DELETION__REQUESTER__RATE_PER_SECOND", "5")]).is_ok());
}

#[test]
fn numbers_that_the_libraries_cannot_bear_are_refused() {
    for (setting, most) in [
        ("DATABASE__MAX_CONNECTIONS", 10_000_u64),
        ("HTTP__MAX_IN_FLIGHT", 100_000),
        ("HTTP__MAX_CONNECTIONS", 1_000_000),
        ("HTTP__WORKERS", 1024),
    ] {
        let setting = format!("CUSTOMER_DELETION__{setting}");
        assert!(load(&[(&setting, &most.to_string())]).is_ok(), "{setting}");
        let message = refusal(&[(&setting, &(most + 1).to_string())]);
        assert_eq!(message, format!("{setting}: must be at most {most}"));
    }
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
        assert!(message.starts_with(&format!("{name}: is no setting")), "{message}");
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
    let message = refusal(&[("CUSTOMER_DELETION_CONFIG", "/nowhere/settings.toml")]);
    assert!(message.starts_with("CUSTOMER_DELETION_CONFIG: /nowhere/settings.toml"), "{message}");
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
        "CUSTOMER_DELETION__REQUESTER__HEADER__TRUSTED_PEERS: `::ffff:10.0.0.0/104` is a network of IPv4: write it like 10.0.0.0/8"
    );
    let peers = ("CUSTOMER_DELETION__REQUESTER__HEADER__TRUSTED_PEERS", "10.0.0.0/8, ::1, nonsense");
    let error = load(&[source, peers]).unwrap().requester.source().unwrap_err();
    assert_eq!(
        error.to_string(),
        "CUSTOMER_DELETION__REQUESTER__HEADER__TRUSTED_PEERS: `nonsense` is not a network like 10.0.0.0/8"
    );
}

pub const JWT: (&str, &str) = ("CUSTOMER_DELETION__REQUESTER__SOURCE", "jwt");
