//! A setting that is invalid or not supported stops every command before it connects.

use std::process::Command;

use rstest::rstest;

use crate::support::process::{command, output};

const ID: &str = "01a20182-c1e4-727d-9221-b8f95068db52";

/// A command with a URL whose port refuses connections. A command that connects prints that.
fn with_url(arguments: &[&str], query: &str) -> Command {
    let mut command = command(arguments);
    command
        .env("DATABASE_URL", format!("postgres://nobody:hunter2@127.0.0.1:1/nothing{query}"))
        .env("CUSTOMER_DELETION__REQUESTER__SOURCE", "header")
        .env("CUSTOMER_DELETION__REQUESTER__HEADER__TRUSTED_PEERS", "127.0.0.0/8")
        .env("CUSTOMER_DELETION__HTTP__PORT", "0")
        .env("CUSTOMER_DELETION__MANAGEMENT__PORT", "0");
    command
}

#[track_caller]
fn assert_stopped(command: &mut Command, expected: &str) {
    let output = output(command);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.starts_with(&format!("customer-deletion: {expected}")), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[rstest]
#[case::serve(&["serve"])]
#[case::migrate(&["migrate"])]
#[case::restore(&["restore", "--operation", ID])]
#[case::purge(&["purge", "--older-than", "30d"])]
#[case::demo(&["demo", "--load"])]
fn a_connection_that_is_not_what_was_asked_for_stops_every_command(#[case] arguments: &[&str]) {
    assert_stopped(&mut with_url(arguments, "?ssl=true"), "CUSTOMER_DELETION__DATABASE__URL: `ssl` is not supported");
    assert_stopped(with_url(arguments, "").env("PGSERVICE", "hunter2"), "PGSERVICE: is not supported");
}

#[test]
fn a_parameter_that_is_unknown_and_a_variable_with_another_value_stop_a_command() {
    for arguments in [&["serve"][..], &["purge", "--older-than", "30d"]] {
        assert_stopped(
            &mut with_url(arguments, "?passwrod=hunter2"),
            "CUSTOMER_DELETION__DATABASE__URL: has `passwrod`, which is not a supported parameter",
        );
        assert_stopped(
            with_url(arguments, "").env("PGSSLMODE", "verify_full"),
            "PGSSLMODE: must be `disable`, `prefer`, `require`, `verify-ca` or `verify-full`",
        );
    }
}

#[test]
fn a_url_of_something_else_does_not_mean_this_machine() {
    for url in ["http://127.0.0.1:5432/app", "127.0.0.1:5432/app", "mysql://me@127.0.0.1/app"] {
        assert_stopped(
            with_url(&["migrate"], "").env("DATABASE_URL", url),
            "CUSTOMER_DELETION__DATABASE__URL: must be postgres://user:password@host:port/database",
        );
    }
}
