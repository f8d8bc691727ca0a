//! The service rejects a role with more privileges than it needs, and names the missing privileges of one with fewer.

use std::process::Stdio;
use std::time::{Duration, Instant};

use customer_deletion::config::Settings;
use customer_deletion::repository::refuse_unsuitable;
use customer_deletion::resource::Resource;
use secrecy::SecretString;

use super::{create_role, drop_role};
use crate::support::process::{Process, command};
use crate::support::{TestDatabase, TestService, client};

const SETTING: &str = "CUSTOMER_DELETION__DATABASE__ALLOW_OWNER";

/// The reason why the service would not start as this role.
async fn refused(database_url: &str) -> String {
    let environment = [("DATABASE_URL".to_owned(), database_url.to_owned())].into();
    let settings = Settings::from_environment(environment).unwrap();
    refuse_unsuitable(&settings.database).await.expect_err("the role is refused").to_string()
}

#[tokio::test]
async fn the_service_refuses_to_start_as_a_role_with_more_power_than_it_needs() {
    let database = TestDatabase::migrated().await;
    let (superuser, _) = create_role(&database, "superuser").await;
    for (attributes, power) in [
        ("superuser", "superuser"),
        ("in role postgres_like", "superuser"),
        ("in role customer_deletion_owner", "owner of the tables"),
        // A role that may become the owner.
        ("noinherit in role customer_deletion_owner", "owner of the tables"),
        ("in role pg_execute_server_program", "a member of pg_execute_server_program"),
        ("in role pg_write_all_data", "a member of pg_write_all_data"),
        ("in role pg_read_all_data", "a member of pg_read_all_data"),
        ("in role customer_deletion_maintenance", "a member of customer_deletion_maintenance"),
        ("createrole", "a role with CREATEROLE"),
        ("bypassrls", "a role with BYPASSRLS"),
        ("replication", "a role with REPLICATION"),
    ] {
        let (role, url) = create_role(&database, &attributes.replace("postgres_like", &superuser)).await;
        let message = refused(&url).await;
        assert!(message.starts_with(&format!("{SETTING}: ")), "{attributes}: {message}");
        for part in [role.as_str(), power, "deploy/postgres/roles.sql"] {
            assert!(message.contains(part), "{attributes}: {message}");
        }
        drop_role(&database, &role).await;
    }
    drop_role(&database, &superuser).await;
}

#[tokio::test]
async fn the_service_refuses_to_start_as_a_member_of_its_role_with_one_more_power() {
    let database = TestDatabase::migrated().await;
    for (grant, power) in [
        ("alter schema public owner to ROLE", "the owner of the schema"),
        ("alter database DATABASE owner to ROLE", "the owner of the database"),
        ("grant trigger on contact to ROLE", "a role with TRIGGER on contact"),
        ("grant trigger on customer_tree to ROLE", "a role with TRIGGER on customer_tree"),
        ("grant delete on zone to ROLE", "a role with DELETE on zone"),
        ("grant delete on legal_hold to ROLE", "a role with DELETE on legal_hold"),
        ("grant truncate on operation_queue to ROLE", "a role with TRUNCATE on operation_queue"),
        // The last case, because it is granted to every role.
        ("grant trigger on restoration to public", "a role with TRIGGER on restoration"),
    ] {
        let (role, url) = create_role(&database, "in role customer_deletion_service").await;
        let name = url.rsplit('/').next().unwrap().split('?').next().unwrap();
        let sql = grant.replace("ROLE", &role).replace("DATABASE", name);
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&database.pool).await.unwrap();

        let message = refused(&url).await;

        let advice = "; revoke that right or membership, or connect as another member of customer_deletion_service";
        assert!(message.contains(&format!("{role} is, or may become, {power}{advice}")), "{grant}: {message}");
        drop_role(&database, &role).await;
    }
}

#[tokio::test]
async fn a_role_that_is_refused_ends_the_command_with_one_line() {
    let database = TestDatabase::migrated().await;
    let (code, message) = end_of_service(&database.url, &[]);
    assert_eq!((code, message.lines().count()), (Some(1), 1), "{message}");
    assert!(message.starts_with(&format!("customer-deletion: {SETTING}: ")), "{message}");
}

/// The exit status, and standard error. A service that starts is ended, and has no status.
pub fn end_of_service(database_url: &str, environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut child = command(&["serve"])
        .env("DATABASE_URL", database_url)
        .env("CUSTOMER_DELETION__REQUESTER__SOURCE", "header")
        .env("CUSTOMER_DELETION__REQUESTER__HEADER__TRUSTED_PEERS", "127.0.0.0/8")
        .env("CUSTOMER_DELETION__HTTP__HOST", "127.0.0.1")
        .env("CUSTOMER_DELETION__HTTP__PORT", "0")
        .env("CUSTOMER_DELETION__MANAGEMENT__HOST", "127.0.0.1")
        .env("CUSTOMER_DELETION__MANAGEMENT__PORT", "0")
        .envs(environment.iter().copied())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(20) {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn with_allow_owner_the_service_starts_as_a_superuser() {
    let database = TestDatabase::migrated().await;
    let process = Process::serve_as(&database.url, &[(SETTING, "true")]);
    let ready = client().get(format!("http://{}/health/ready", process.management_address)).send().await.unwrap();
    assert_eq!(ready.status().as_u16(), 200);
}

#[tokio::test]
async fn a_database_that_is_away_does_not_stop_the_start() {
    let process = Process::serve_as("postgres://nobody@127.0.0.1:1/nothing", &[]);
    let live = client().get(format!("http://{}/health/live", process.management_address)).send().await.unwrap();
    assert_eq!(live.status().as_u16(), 200);
}

/// As after a start while the database was away.
#[tokio::test]
async fn a_running_service_does_nothing_as_the_owner() {
    let database = TestDatabase::migrated().await;
    let (role, url) = create_role(&database, "in role customer_deletion_owner").await;
    let service =
        TestService::start_on(database, |settings| settings.database.url = Some(SecretString::from(url))).await;
    let family = service.world.family().await;
    let zone = service.world.zone(family.requester).await;
    let before = service.world.fingerprint().await;

    let ready = service.management("/health/ready").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text.contains(SETTING) && ready.text.contains(&role), "{}", ready.text);
    let answer = service.delete_one(family.requester, family.requester, Resource::Zone, zone).await;
    answer.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again");
    assert_eq!((service.world.fingerprint().await, service.world.operations().await), (before, 0));

    // A role that is corrected is accepted without a new start.
    let mend = format!("revoke customer_deletion_owner from {role}; grant customer_deletion_service to {role}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(mend)).execute(&service.database.pool).await.unwrap();
    service.until_ready().await;
    service.delete_one(family.requester, family.requester, Resource::Zone, zone).await.assert_deleted();
    let unused = format!("alter role {role} nologin");
    sqlx::raw_sql(sqlx::AssertSqlSafe(unused)).execute(&service.database.pool).await.unwrap();
    let end = "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1";
    sqlx::query(end).bind(&role).execute(&service.database.pool).await.unwrap();
    drop_role(&service.database, &role).await;
}

#[tokio::test]
async fn a_privilege_that_only_the_queue_needs_is_named_too() {
    let service = TestService::start().await;
    for privilege in
        ["insert on operation_queue", "update on operation_queue", "update on operation", "delete on operation_queue"]
    {
        service.until_ready().await;
        revoke(&service, privilege).await;
        let ready = service.until_not_ready(privilege).await;
        assert!(ready.text.contains("deploy/postgres/roles.sql"), "{}", ready.text);
        service.database.grant().await;
    }
    service.until_ready().await;
}

async fn revoke(service: &TestService, privilege: &str) {
    let revoke = format!("revoke {privilege} from customer_deletion_service");
    sqlx::raw_sql(sqlx::AssertSqlSafe(revoke)).execute(&service.database.pool).await.unwrap();
}

#[tokio::test]
async fn a_privilege_that_is_missing_is_named_with_the_file_that_grants_it() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    for (privilege, named) in [
        ("select on schema_version", "permission denied"),
        ("insert on operation", "insert on operation"),
        ("update on zone", "update on zone"),
        ("update on customer", "update on customer"),
    ] {
        let zone = service.world.zone(family.requester).await;
        service.delete_one(family.requester, family.requester, Resource::Zone, zone).await.assert_deleted();
        let zone = service.world.zone(family.requester).await;
        revoke(&service, privilege).await;

        let ready = service.until_not_ready(named).await;
        assert!(ready.text.contains("deploy/postgres/roles.sql"), "{}", ready.text);
        let operations = service.world.operations().await;
        let answer = service.delete_one(family.requester, family.requester, Resource::Zone, zone).await;
        if privilege != "select on schema_version" {
            answer.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again");
            assert_eq!(service.world.operations().await, operations, "{privilege}");
        }

        service.database.grant().await;
        service.until_ready().await;
    }
}
