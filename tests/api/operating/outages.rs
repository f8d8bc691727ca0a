//! A database that is away, slow, or out of connections: 503, and service again after its return. `faults` judges how soon.

use std::time::{Duration, Instant};

use customer_deletion::config::Settings;
use customer_deletion::resource::Resource;
use futures_util::future::join_all;
use rstest::rstest;
use secrecy::SecretString;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions};
use uuid::Uuid;

use crate::support::proxy::{Proxy, Weather};
use crate::support::service::{Answer, end_sessions, hang_up_while_waiting, impatient, waiting_for_locks};
use crate::support::world::Family;
use crate::support::{StallWatch, TestDatabase, TestService, until};

/// A busy machine may open no session for half a minute.
const LONGEST_RECOVERY: Duration = Duration::from_secs(60);

fn set_url(settings: &mut Settings, url: String) {
    settings.database.url = Some(SecretString::from(url));
}

pub async fn service_behind_a_proxy(change: impl FnOnce(&mut Settings)) -> (TestService, Proxy) {
    let (database, proxy, url) = Proxy::with_database().await;
    let service = TestService::start_on(database, |settings| {
        set_url(settings, url);
        change(settings);
    })
    .await;
    (service, proxy)
}

/// Sends a call about a contact.
pub async fn delete(service: &TestService, family: Family, contact: Uuid) -> Answer {
    service.delete_one(family.requester, family.sub_customer, Resource::Contact, contact).await
}

#[track_caller]
pub fn assert_unavailable(answer: &Answer) {
    answer.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again");
    assert_eq!(answer.header("Retry-After"), Some("1"));
}

/// The deadline of a call is 2.5 s. A busy machine takes longer for everything around it.
async fn assert_unavailable_in_time(service: &TestService, family: Family) {
    let watch = StallWatch::start();
    assert_unavailable(&delete(service, family, Uuid::now_v7()).await);
    assert!(watch.took() < Duration::from_secs(10), "{:?}", watch.took());
}

/// Repeats a deletion until one succeeds.
pub async fn assert_recovers(service: &TestService, family: Family) {
    let began = Instant::now();
    loop {
        let answer = delete(service, family, service.world.contact(family.sub_customer).await).await;
        if answer.status == 200 {
            return;
        }
        assert_unavailable(&answer);
        assert!(began.elapsed() < LONGEST_RECOVERY, "no call gets a session");
    }
}

#[rstest]
#[case::away(Weather::Cut)]
#[case::silent(Weather::Frozen)]
#[tokio::test]
async fn a_database_that_goes_away_is_503_until_it_returns(#[case] weather: Weather) {
    let (service, proxy) = service_behind_a_proxy(impatient).await;
    let family = service.world.family().await;
    let contacts = service.world.rows(Resource::Contact, family.sub_customer, 30).await;
    // Every connection of the pool is in use, so all of them break.
    join_all(contacts[..20].iter().map(|contact| delete(&service, family, *contact))).await;

    proxy.set(weather);
    for _ in 0..2 {
        let answers = join_all(contacts[20..].iter().map(|contact| delete(&service, family, *contact))).await;
        answers.iter().for_each(assert_unavailable);
    }
    assert_eq!(service.management("/health/ready").await.status, 503);
    assert_eq!(service.management("/health/live").await.status, 200);
    assert_eq!(service.status(family.requester, Uuid::now_v7()).await.status, 503);

    proxy.set(Weather::Fair);
    assert_recovers(&service, family).await;
    service.until_ready().await;
    assert_rows_and_operations_agree(&service).await;
}

/// The deletion of a contact in this table continues in PostgreSQL, whatever ends statements.
const ENDLESS: &str = "
    create table endless (contact_id uuid primary key);
    create function never_end() returns trigger language plpgsql security definer as $$
    begin
      loop
        begin
          if not exists (select from endless where contact_id = new.id) then
            return new;
          end if;
          perform pg_sleep(0.02);
        exception when query_canceled then
          null;
        end;
      end loop;
    end $$;
    create trigger never_end before update on contact for each row execute function never_end();";

/// The number of deletions that run in PostgreSQL.
async fn running_deletions(service: &TestService) -> i64 {
    let sql = "select count(*) from pg_stat_activity
        where datname = current_database() and state = 'active' and query like '-- delete_contacts:%'";
    sqlx::query_scalar(sql).fetch_one(&service.database.pool).await.unwrap()
}

/// The deadline of a call ends it in the middle of a statement on the only connection. The next call gets another connection,
/// and does not wait for the end of that statement. The deadline is shorter than the time after which an idle session is
/// pinged.
#[tokio::test]
async fn a_session_in_the_middle_of_a_statement_is_not_lent_again() {
    let service = TestService::start_with(|settings| {
        settings.database.max_connections = 1;
        settings.database.deadline = Duration::from_millis(800);
    })
    .await;
    let family = service.world.family().await;
    let pool = &service.database.pool;
    sqlx::raw_sql(ENDLESS).execute(pool).await.unwrap();
    assert_recovers(&service, family).await;
    let contact = service.world.contact(family.sub_customer).await;
    sqlx::query("insert into endless values ($1)").bind(contact).execute(pool).await.unwrap();
    until(|| async {
        assert_unavailable(&delete(&service, family, contact).await);
        running_deletions(&service).await > 0
    })
    .await;

    assert_recovers(&service, family).await;
    assert!(running_deletions(&service).await > 0, "the statement goes on");
    sqlx::query("delete from endless").execute(pool).await.unwrap();
    until(|| async { running_deletions(&service).await == 0 }).await;
    assert_rows_and_operations_agree(&service).await;
}

async fn assert_rows_and_operations_agree(service: &TestService) {
    crate::support::audit::assert_agreement(&service.database.pool).await;
}

#[tokio::test]
async fn a_service_whose_database_was_never_there_answers_503() {
    let database = TestDatabase::migrated().await;
    let service = TestService::start_on(database, |settings| {
        impatient(settings);
        set_url(settings, "postgres://nobody@127.0.0.1:1/nothing".to_owned());
    })
    .await;
    let family = service.world.family().await;

    assert_unavailable_in_time(&service, family).await;
    let ready = service.management("/health/ready").await;
    assert_eq!((ready.status, ready.json()["status"].as_str()), (503, Some("DOWN")));
}

#[tokio::test]
async fn a_row_that_is_locked_for_long_is_503_and_changes_nothing() {
    let service = TestService::start_with(impatient).await;
    let family = service.world.family().await;
    let contacts = service.world.rows(Resource::Contact, family.sub_customer, 2).await;
    let mut holding = service.database.pool.begin().await.unwrap();
    sqlx::query("select from contact where id = $1 for update").bind(contacts[1]).execute(&mut *holding).await.unwrap();
    let before = service.world.fingerprint().await;

    let answer = service.delete_list(family.requester, family.sub_customer, Resource::Contact, &contacts).await;
    assert_unavailable(&answer);
    // PostgreSQL ends the statement by itself. One that has not reached the lock yet is ended here, so that nothing changes later.
    until(|| async { waiting_for_locks(&service.database.pool).await == 0 }).await;
    end_sessions(&service.database.pool).await;
    assert_eq!(service.world.fingerprint().await, before);

    holding.rollback().await.unwrap();
    let patient = TestService::beside(&service, |_| {}).await;
    patient.delete_list(family.requester, family.sub_customer, Resource::Contact, &contacts).await.assert_deleted();
    assert_recovers(&service, family).await;
}

#[tokio::test]
async fn all_the_waits_of_a_first_call_have_one_deadline() {
    let (service, proxy) =
        service_behind_a_proxy(|settings| settings.database.deadline = Duration::from_millis(6500)).await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let mut holding = service.database.pool.begin().await.unwrap();
    sqlx::query("select from contact where id = $1 for update").bind(contact).execute(&mut *holding).await.unwrap();

    // It waits for its connection, and then for the row.
    proxy.set(Weather::Frozen);
    let thaw = async {
        tokio::time::sleep(Duration::from_millis(5500)).await;
        proxy.set(Weather::Fair);
    };
    let watch = StallWatch::start();
    let (answer, ()) = tokio::join!(delete(&service, family, contact), thaw);

    let took = watch.took();
    answer.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again");
    // Both waits one after the other take 9.4 seconds.
    assert!(took < Duration::from_secs(8), "{took:?}");
    holding.rollback().await.unwrap();
}

#[tokio::test]
async fn a_call_that_finds_no_free_connection_is_503() {
    let service = TestService::start_with(|settings| {
        impatient(settings);
        settings.database.max_connections = 2;
    })
    .await;
    let family = service.world.family().await;
    let contacts = service.world.rows(Resource::Contact, family.sub_customer, 8).await;
    let mut holding = service.database.pool.begin().await.unwrap();
    sqlx::query("select from contact where id = any($1) for update")
        .bind(&contacts)
        .execute(&mut *holding)
        .await
        .unwrap();

    let answers = join_all(contacts.iter().map(|contact| delete(&service, family, *contact))).await;
    answers.iter().for_each(assert_unavailable);

    holding.rollback().await.unwrap();
    assert_recovers(&service, family).await;
}

#[tokio::test]
async fn a_server_that_takes_no_more_connections_is_503() {
    let database = TestDatabase::migrated().await;
    let role = format!("crowded_{}", Uuid::now_v7().simple());
    let sql =
        format!("create role {role} login password 'crowded' connection limit 0 in role customer_deletion_service");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&database.pool).await.unwrap();
    let options: PgConnectOptions = database.url.parse().unwrap();
    let url = options.username(&role).password("crowded").to_url_lossy().to_string();
    let service = TestService::start_on(database, |settings| {
        impatient(settings);
        set_url(settings, url);
    })
    .await;
    let family = service.world.family().await;

    assert_unavailable_in_time(&service, family).await;

    let sql = format!("alter role {role} connection limit 20");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&service.database.pool).await.unwrap();
    assert_recovers(&service, family).await;
    let sql = format!("drop owned by {role}; alter role {role} nologin");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&service.database.pool).await.unwrap();
    let sql = format!("drop role {role}");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&service.database.pool).await.unwrap();
}

#[tokio::test]
async fn connections_that_were_terminated_while_idle_fail_no_call() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let contacts = service.world.rows(Resource::Contact, family.sub_customer, 40).await;
    join_all(contacts[..20].iter().map(|contact| delete(&service, family, *contact))).await;

    end_sessions(&service.database.pool).await;

    for answer in join_all(contacts[20..].iter().map(|contact| delete(&service, family, *contact))).await {
        answer.assert_deleted();
    }
}

#[tokio::test]
async fn a_session_left_on_a_server_that_takes_no_writes_is_replaced() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let contacts = service.world.rows(Resource::Contact, family.sub_customer, 4).await;
    let set = |value: &str| {
        let name = service.database.url.split('?').next().unwrap().rsplit_once('/').unwrap().1.to_owned();
        sqlx::AssertSqlSafe(format!("alter database {name} set default_transaction_read_only = {value}"))
    };

    // The service has verified the schema, and does not check the server before a call any more.
    delete(&service, family, contacts[3]).await.assert_deleted();
    // Every new session of the service is read-only.
    sqlx::raw_sql(set("on")).execute(pool).await.unwrap();
    end_sessions(pool).await;
    assert_unavailable(&delete(&service, family, contacts[0]).await);
    // The address leads to a server that accepts writes again, but a session in the pool does not. A call replaces it.
    sqlx::raw_sql(set("off")).execute(pool).await.unwrap();
    delete(&service, family, contacts[1]).await.assert_deleted();

    // The same without a call: the health check replaces it too.
    sqlx::raw_sql(set("on")).execute(pool).await.unwrap();
    end_sessions(pool).await;
    service.until_not_ready("does not take writes").await;
    sqlx::raw_sql(set("off")).execute(pool).await.unwrap();
    service.until_ready().await;
    delete(&service, family, contacts[2]).await.assert_deleted();
}

#[tokio::test]
async fn a_call_whose_client_hangs_up_is_brought_to_its_end() {
    let service = TestService::start_with(|settings| settings.database.max_connections = 1).await;
    let family = service.world.family().await;
    let contacts = service.world.rows(Resource::Contact, family.sub_customer, 3).await;
    let hold = |sql: &'static str, contact: Uuid| {
        let pool = service.database.pool.clone();
        async move {
            let mut tx = pool.begin().await.unwrap();
            sqlx::query(sql).bind(contact).execute(&mut *tx).await.unwrap();
            tx
        }
    };

    let holding = hold("select from contact where id = $1 for update", contacts[0]).await;
    hang_up_while_waiting(service.address, family, contacts[0], &service.database.pool).await;
    holding.rollback().await.unwrap();
    // The only connection returns to the pool intact.
    delete(&service, family, contacts[1]).await.assert_deleted();
    assert_eq!(service.world.deleted(Resource::Contact, &contacts).await, contacts[..2]);

    // A refusal takes three statements, and is still recorded.
    let moving = hold("update contact set customer_id = (select parent_id from customer where customer.id = contact.customer_id) where id = $1", contacts[2]).await;
    hang_up_while_waiting(service.address, family, contacts[2], &service.database.pool).await;
    moving.commit().await.unwrap();
    let unknown = delete(&service, family, Uuid::now_v7()).await;
    unknown.assert_failed(404, "CUSTOMER_1017", "Unknown Contact ID");
    let codes: Vec<String> =
        sqlx::query_scalar("select error_code from operation where status = 'FAILURE' order by created_at")
            .fetch_all(&service.database.pool)
            .await
            .unwrap();
    assert_eq!(codes, ["AUTH_1010", "CUSTOMER_1017"]);
    assert_rows_and_operations_agree(&service).await;
}
