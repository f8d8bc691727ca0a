//! Events about deletions and restores for other systems: a real subscription of PostgreSQL in a database of its own.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use futures_util::FutureExt;
use sqlx::{AssertSqlSafe, Executor, Row};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::support::database::as_maintenance;
use crate::support::process::{command, output};
use crate::support::service::send;
use crate::support::{TestDatabase, TestPool, TestService, postgres};

/// Whether the server supports logical replication.
async fn has_logical_replication(pool: &TestPool) -> bool {
    let level: String = sqlx::query_scalar("show wal_level").fetch_one(pool).await.unwrap();
    if level != "logical" {
        assert!(!postgres::is_complete(), "{level}");
        eprintln!("skipped: this server has wal_level = {level}");
    }
    level == "logical"
}

const DELETIONS: &str = "customer_deletion";
const BOTH: &str = "customer_deletion, customer_deletion_restorations";

const OPERATION: &str = "
    create sequence arrival;
    create table operation (
      id uuid primary key,
      requester_id uuid not null,
      actor text,
      customer_id uuid not null,
      resource text not null,
      target_ids uuid[] not null,
      status text not null,
      created_at timestamptz not null,
      completed_at timestamptz not null,
      arrived bigint default nextval('arrival')
    )";
const RESTORATION: &str = "
    create table restoration (
      id uuid primary key,
      operation_id uuid not null,
      requester_id uuid not null,
      customer_id uuid not null,
      resource text not null,
      restored_ids uuid[] not null,
      restored_at timestamptz not null,
      arrived bigint default nextval('arrival')
    )";

/// A database that subscribes to the deletions in another. It records the order in which they arrive.
struct Subscriber {
    database: TestDatabase,
    name: String,
}

impl Subscriber {
    /// Set up as docs/dba.md says for a subscriber: with a role of its own, and with tables of its own.
    async fn of(publisher: &TestDatabase, publications: &str) -> Subscriber {
        let name = format!("test_events_{}", Uuid::now_v7().simple());
        let sql = format!(
            "create role {name} login replication password '{name}';
             grant select (id, requester_id, actor, customer_id, resource, target_ids, status, created_at, completed_at)
               on operation to {name};
             grant select (id, operation_id, requester_id, customer_id, resource, restored_ids, restored_at)
               on restoration to {name};"
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&publisher.pool).await.unwrap();
        let slot = format!("select pg_create_logical_replication_slot('{name}', 'pgoutput')");
        publisher.pool.execute(AssertSqlSafe(slot)).await.unwrap();
        let subscriber = Subscriber { database: TestDatabase::empty().await, name };
        subscriber.execute(OPERATION).await;
        if publications.contains("customer_deletion_restorations") {
            subscriber.execute(RESTORATION).await;
        }
        subscriber.subscribe(publisher, publications).await;
        subscriber.until_in_step().await;
        subscriber
    }

    /// On one server, the slot must be created beforehand. Its creation waits for every transaction, and so for the one that
    /// creates the subscription.
    async fn subscribe(&self, publisher: &TestDatabase, publications: &str) {
        let row = "select current_setting('port') as port, current_database() as name";
        let row = publisher.pool.fetch_one(row).await.unwrap();
        let (port, database): (String, String) = (row.get("port"), row.get("name"));
        let name = &self.name;
        let sql = format!(
            "create subscription {name}
             connection 'host=127.0.0.1 port={port} dbname={database} user={name} password={name}'
             publication {publications} with (create_slot = false, slot_name = '{name}')"
        );
        self.execute(&sql).await;
    }

    /// Waits until the existing rows are copied. From then on every event arrives by itself.
    async fn until_in_step(&self) {
        let began = Instant::now();
        let in_step = "select bool_and(srsubstate = 'r') from pg_subscription_rel
            join pg_subscription on pg_subscription.oid = pg_subscription_rel.srsubid where subname = $1";
        while !sqlx::query_scalar::<_, bool>(in_step).bind(&self.name).fetch_one(&self.database.pool).await.unwrap() {
            assert!(began.elapsed() < Duration::from_secs(60), "the subscription does not begin");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&self.database.pool).await.expect(sql);
    }

    /// The ids of the events so far, in the order of their arrival.
    async fn events(&self) -> Vec<Uuid> {
        sqlx::query_scalar("select id from operation order by arrived").fetch_all(&self.database.pool).await.unwrap()
    }

    /// Waits until the event has arrived, and returns all events before it.
    async fn events_up_to(&self, last: Uuid) -> Vec<Uuid> {
        let began = Instant::now();
        loop {
            let events = self.events().await;
            if events.contains(&last) {
                return events;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{last} does not come, after {events:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn end(self, publisher: &TestDatabase) {
        let name = &self.name;
        for sql in ["disable", "set (slot_name = none)"] {
            self.execute(&format!("alter subscription {name} {sql}")).await;
        }
        self.execute(&format!("drop subscription {name}")).await;
        let drop = format!(
            "select pg_terminate_backend(active_pid, 5000) from pg_replication_slots
             where slot_name = '{name}' and active_pid is not null;
             select pg_drop_replication_slot('{name}');"
        );
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&publisher.pool).await.unwrap();
        let drop = format!("drop owned by {name}; drop role {name}");
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&publisher.pool).await.unwrap();
    }
}

/// One subscription at a time: an ordinary server has four workers for them, and a new one takes three.
static SUBSCRIBING: Mutex<()> = Mutex::const_new(());

/// Runs a test with a service and a subscriber to its deletions. A slot that stays would keep the WAL of the server for ever.
async fn with_subscriber(test: impl AsyncFnOnce(&TestService, &Subscriber)) {
    with_subscriber_to(DELETIONS, test).await;
}

async fn with_subscriber_to(publications: &str, test: impl AsyncFnOnce(&TestService, &Subscriber)) {
    let service = TestService::start().await;
    if !has_logical_replication(&service.database.pool).await {
        return;
    }
    let _alone = SUBSCRIBING.lock().await;
    let subscriber = Subscriber::of(&service.database, publications).await;
    let result = AssertUnwindSafe(test(&service, &subscriber)).catch_unwind().await;
    subscriber.end(&service.database).await;
    if let Err(panic) = result {
        resume_unwind(panic);
    }
}

/// An operation that another service is executing, with this many ids.
async fn open(pool: &TestPool, ids: i32) -> Uuid {
    let sql = "insert into operation (id, requester_id, customer_id, resource, target_ids, status)
        select $1, $1, $1, 'contact', array_agg(gen_random_uuid()), 'OPEN' from generate_series(1, $2)";
    let id = Uuid::now_v7();
    sqlx::query(sql).bind(id).bind(ids).execute(pool).await.unwrap();
    id
}

const SUCCEED: &str = "update operation
    set status = 'SUCCESS', deleted_rows = cardinality(target_ids), completed_at = now() where id = $1";

#[tokio::test]
async fn a_success_is_published_and_a_refusal_and_a_purge_are_not() {
    with_subscriber(async |service, subscriber| {
        let family = service.world.family().await;
        let mut zones = service.world.rows(Resource::Zone, family.requester, 3).await;
        zones.sort();
        let unknown = Uuid::now_v7();
        let delete =
            async |ids: &[Uuid]| service.delete_list(family.requester, family.requester, Resource::Zone, ids).await;

        delete(&[unknown]).await.assert_failed(404, "CUSTOMER_1030", "Failed to delete customer zone\\s");
        let first = delete(&zones[..2]).await.assert_deleted();
        service.database.pool.execute("delete from operation").await.unwrap();
        let second = delete(&zones[2..]).await.assert_deleted();

        assert_eq!(subscriber.events_up_to(second).await, [first, second]);
        let event = sqlx::query("select * from operation where id = $1").bind(first);
        let event = event.fetch_one(&subscriber.database.pool).await.unwrap();
        assert_eq!(event.get::<Uuid, _>("requester_id"), family.requester);
        assert_eq!(event.get::<Uuid, _>("customer_id"), family.requester);
        assert_eq!(event.get::<String, _>("resource"), "zone");
        assert_eq!(event.get::<Vec<Uuid>, _>("target_ids"), zones[..2]);
        assert_eq!(event.get::<String, _>("status"), "SUCCESS");
    })
    .await;
}

#[tokio::test]
async fn an_open_operation_is_published_whole_once_it_succeeds() {
    with_subscriber(async |service, subscriber| {
        let pool = &service.database.pool;
        // As many ids as PostgreSQL stores outside their row.
        let [few, many, failing] = [open(pool, 2).await, open(pool, 1000).await, open(pool, 2).await];
        let fail =
            "update operation set status = 'FAILURE', error_code = 'AUTH_1010', completed_at = now() where id = $1";
        for (sql, id) in [(fail, failing), (SUCCEED, many), (SUCCEED, few)] {
            sqlx::query(sql).bind(id).execute(pool).await.unwrap();
        }

        assert_eq!(subscriber.events_up_to(few).await, [many, few]);
        let fingerprint = "select md5(target_ids::text) from operation where id = $1";
        let sent: String = sqlx::query_scalar(fingerprint).bind(many).fetch_one(pool).await.unwrap();
        let came: String =
            sqlx::query_scalar(fingerprint).bind(many).fetch_one(&subscriber.database.pool).await.unwrap();
        assert_eq!(came, sent);
    })
    .await;
}

#[tokio::test]
async fn events_come_in_the_order_of_the_commits_and_wait_for_a_subscriber_that_is_away() {
    with_subscriber(async |service, subscriber| {
        let pool = &service.database.pool;
        let [began_first, began_second, began_last] = [open(pool, 1).await, open(pool, 1).await, open(pool, 1).await];
        subscriber.execute(&format!("alter subscription {} disable", subscriber.name)).await;

        let mut slow = pool.begin().await.unwrap();
        sqlx::query(SUCCEED).bind(began_first).execute(&mut *slow).await.unwrap();
        sqlx::query(SUCCEED).bind(began_second).execute(pool).await.unwrap();
        slow.commit().await.unwrap();
        sqlx::query(SUCCEED).bind(began_last).execute(pool).await.unwrap();

        subscriber.execute(&format!("alter subscription {} enable", subscriber.name)).await;
        assert_eq!(subscriber.events_up_to(began_last).await, [began_second, began_first, began_last]);
    })
    .await;
}

#[tokio::test]
async fn a_new_subscriber_gets_the_successes_that_are_still_there_first() {
    let service = TestService::start().await;
    if !has_logical_replication(&service.database.pool).await {
        return;
    }
    let family = service.world.family().await;
    let zone = service.world.zone(family.requester).await;
    let delete = async |id| service.delete_one(family.requester, family.requester, Resource::Zone, id).await;
    delete(Uuid::now_v7()).await.assert_failed(404, "CUSTOMER_1030", "Failed to delete customer zone\\s");
    let earlier = delete(zone).await.assert_deleted();

    let _alone = SUBSCRIBING.lock().await;
    let subscriber = Subscriber::of(&service.database, DELETIONS).await;
    let events = AssertUnwindSafe(subscriber.events_up_to(earlier)).catch_unwind().await;
    subscriber.end(&service.database).await;
    assert_eq!(events.unwrap_or_else(|panic| resume_unwind(panic)), [earlier]);
}

#[tokio::test]
async fn the_actor_is_published_and_its_erasure_is_published_as_an_update() {
    with_subscriber(async |service, subscriber| {
        let (publisher, family) = (&service.database.pool, service.world.family().await);
        let many = service.world.rows(Resource::Zone, family.requester, 1000).await;
        let recording = TestService::beside(service, |settings| {
            settings.requester.header.actor_name = Some("X-Actor-Id".to_owned());
        })
        .await;
        let call = recording.list_call(family.requester, family.requester, Resource::Zone, &many);
        let operation = send(call.header("X-Actor-Id", "an-actor")).await.assert_deleted();
        subscriber.events_up_to(operation).await;
        let came = "select actor, cardinality(target_ids) from operation";
        let came = async || -> (Option<String>, i32) {
            sqlx::query_as(came).fetch_one(&subscriber.database.pool).await.unwrap()
        };
        assert_eq!(came().await, (Some("an-actor".to_owned()), 1000));

        publisher.execute("update operation set actor = null").await.unwrap();
        let last = service.world.zone(family.requester).await;
        let last = service.delete_one(family.requester, family.requester, Resource::Zone, last).await.assert_deleted();
        subscriber.events_up_to(last).await;
        let erased = "select actor, cardinality(target_ids) from operation where id = $1";
        let erased: (Option<String>, i32) =
            sqlx::query_as(erased).bind(operation).fetch_one(&subscriber.database.pool).await.unwrap();
        assert_eq!(erased, (None, 1000));
    })
    .await;
}

fn restore(service: &TestService, operation: Uuid) {
    let mut restore = command(&["restore", "--operation", &operation.to_string()]);
    let output = output(restore.env("DATABASE_URL", as_maintenance(&service.database.url)));
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
async fn a_restore_comes_after_its_deletion_and_before_the_next_one() {
    with_subscriber_to(BOTH, async |service, subscriber| {
        let family = service.world.family().await;
        let mut zones = service.world.rows(Resource::Zone, family.requester, 2).await;
        zones.sort();
        let delete = || service.delete_list(family.requester, family.requester, Resource::Zone, &zones);

        let first = delete().await.assert_deleted();
        restore(service, first);
        // The deletion of a record is not published.
        service.database.pool.execute("delete from operation").await.unwrap();
        service.database.pool.execute("delete from restoration").await.unwrap();
        let second = delete().await.assert_deleted();

        subscriber.events_up_to(second).await;
        let came = "select id, null::uuid[] as rows, arrived from operation
            union all select operation_id, restored_ids, arrived from restoration order by arrived";
        let came: Vec<(Uuid, Option<Vec<Uuid>>, i64)> =
            sqlx::query_as(came).fetch_all(&subscriber.database.pool).await.unwrap();
        let came: Vec<_> = came.into_iter().map(|(operation, rows, _)| (operation, rows)).collect();
        assert_eq!(came, [(first, None), (first, Some(zones.clone())), (second, None)]);
        let restored = "select requester_id, customer_id, resource from restoration";
        let restored: (Uuid, Uuid, String) =
            sqlx::query_as(restored).fetch_one(&subscriber.database.pool).await.unwrap();
        assert_eq!(restored, (family.requester, family.requester, "zone".to_owned()));
    })
    .await;
}

/// It has no table for restores.
#[tokio::test]
async fn a_subscriber_to_deletions_alone_never_hears_of_a_restore() {
    with_subscriber(async |service, subscriber| {
        let family = service.world.family().await;
        let zone = service.world.zone(family.requester).await;
        let delete = || service.delete_one(family.requester, family.requester, Resource::Zone, zone);

        let first = delete().await.assert_deleted();
        restore(service, first);
        let second = delete().await.assert_deleted();

        assert_eq!(subscriber.events_up_to(second).await, [first, second]);
    })
    .await;
}
