//! Shared statements and other transactions that write the same rows at the same time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use futures_util::future::join_all;
use rstest::rstest;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use uuid::Uuid;

use super::{Stage, answers, code};
use crate::support::audit::deadlocks;
use crate::support::resources::table;
use crate::support::service::send;
use crate::support::{TestDatabase, pause};

/// The number of the advisory lock at which statements stop.
const GATE: i64 = 4711;

/// A role whose reads of customers stop while the gate is locked.
struct Stopped {
    role: String,
    url: String,
}

impl Stopped {
    async fn at_customers_of(database: &TestDatabase) -> Stopped {
        let role = format!("stopped_{}", Uuid::now_v7().simple());
        let sql = format!(
            "create role {role} login password 'stopped' in role customer_deletion_service;
             create function may_pass() returns boolean language plpgsql as $$
             begin
               while not pg_try_advisory_lock_shared({GATE}) loop
                 perform pg_sleep(0.002);
               end loop;
               perform pg_advisory_unlock_shared({GATE});
               return true;
             end $$;
             alter table customer enable row level security;
             create policy everybody on customer using (may_pass());"
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&database.pool).await.unwrap();
        let options: PgConnectOptions = database.url.parse().unwrap();
        let url = options.username(&role).password("stopped").to_url_lossy().to_string();
        Stopped { role, url }
    }

    async fn close_gate(database: &TestDatabase) -> PgConnection {
        let options: PgConnectOptions = database.url.parse().unwrap();
        let mut keeper = options.connect().await.unwrap();
        sqlx::query("select pg_advisory_lock($1)").bind(GATE).execute(&mut keeper).await.unwrap();
        keeper
    }

    async fn drop_from(self, database: &TestDatabase) {
        let sql = format!("drop owned by {0}; drop role {0}", self.role);
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&database.pool).await.unwrap();
    }
}

const RE_PARENT: &str =
    "update customer set parent_id = null where id = (select customer_id from $table where id = $1)";
const KILL: &str = "update customer set deleted_at = now() where id = (select customer_id from $table where id = $1)";
const KILL_REQUESTER: &str = "
    update customer set deleted_at = now()
    where id = (select parent_id from customer where id = (select customer_id from $table where id = $1))";
const DELETE_ROW: &str = "update $table set deleted_at = now() where id = $1";
const GIVE_AWAY: &str = "
    update $table set customer_id = (select min(id::text)::uuid from customer where parent_id is null) where id = $1";
const GIVE_ENTITY_AWAY: &str = "
    update subscriber set customer_id = (select min(id::text)::uuid from customer where parent_id is null)
    where id = (select subscriber_id from $table where id = $1)";

/// A change by another service: its name, the resource, the statement, and the code with which the call about the row is then
/// refused.
type Change = (&'static str, Resource, &'static str, &'static str);

/// Each change of a contact, a change that only external params have, and one at depth 0, where the customer is the requester.
const CHANGES: [Change; 7] = [
    ("contact customer re-parented", Resource::Contact, RE_PARENT, "CUSTOMER_1002"),
    ("contact customer deleted", Resource::Contact, KILL, "CUSTOMER_1002"),
    ("contact requester deleted", Resource::Contact, KILL_REQUESTER, "CUSTOMER_1002"),
    ("contact deleted", Resource::Contact, DELETE_ROW, "CUSTOMER_1017"),
    ("contact given away", Resource::Contact, GIVE_AWAY, "AUTH_1010"),
    ("external params on an entity given away", Resource::ExternalParams, GIVE_ENTITY_AWAY, "CUSTOMER_1026"),
    ("zone customer deleted", Resource::Zone, KILL, "CUSTOMER_1002"),
];

/// The other changes of the other resources.
const MORE_CHANGES: [Change; 9] = [
    ("address customer re-parented", Resource::Address, RE_PARENT, "CUSTOMER_1002"),
    ("address customer deleted", Resource::Address, KILL, "CUSTOMER_1002"),
    ("address deleted", Resource::Address, DELETE_ROW, "CUSTOMER_1018"),
    ("address given away", Resource::Address, GIVE_AWAY, "AUTH_1011"),
    ("external params customer deleted", Resource::ExternalParams, KILL, "CUSTOMER_1002"),
    ("external params deleted", Resource::ExternalParams, DELETE_ROW, "CUSTOMER_1026"),
    ("external params given away", Resource::ExternalParams, GIVE_AWAY, "CUSTOMER_1026"),
    ("zone deleted", Resource::Zone, DELETE_ROW, "CUSTOMER_1030"),
    ("zone given away", Resource::Zone, GIVE_AWAY, "CUSTOMER_1030"),
];

#[tokio::test]
async fn a_shared_statement_acts_on_current_rows_and_not_on_its_snapshot() {
    each_change_refuses_one_of_three(&CHANGES).await;
}

#[tokio::test]
#[ignore = "the changes of the other resources: takes some seconds; cargo test --test api -- --ignored acts_on_current"]
async fn a_shared_statement_acts_on_current_rows_after_the_other_changes_too() {
    each_change_refuses_one_of_three(&MORE_CHANGES).await;
}

/// The statement takes its snapshot and stops. Commits of others in this time are not in the snapshot.
async fn each_change_refuses_one_of_three(changes: &[Change]) {
    let database = TestDatabase::migrated().await;
    let stopped = Stopped::at_customers_of(&database).await;
    let mut stage = Stage::on(database, &stopped.url, &[]).await;
    for (name, resource, change, expected) in changes {
        println!("{name}");
        stage.family = stage.world.family().await;
        let changed = stage.world.row(*resource, stage.family.in_scope(*resource)).await;
        let change = (change.replace("$table", table(*resource)), changed);
        refuses_one_of_three(&stage, *resource, changed, change, expected).await;
    }
    let database = stage.end();
    stopped.drop_from(&database).await;
}

#[tokio::test]
async fn a_shared_statement_deletes_no_params_on_an_entity_that_was_given_away() {
    let database = TestDatabase::migrated().await;
    let stopped = Stopped::at_customers_of(&database).await;
    let mut stage = Stage::on(database, &stopped.url, &[]).await;
    for (column, change) in [
        ("sub_customer_id", "update customer set parent_id = null where id = $1"),
        (
            "sell_plan_id",
            "update sell_plan set customer_id = (select min(id::text)::uuid from customer where parent_id is null)
             where id = $1",
        ),
    ] {
        println!("{column}");
        stage.family = stage.world.family().await;
        let requester = stage.family.requester;
        let entity = match column {
            "sub_customer_id" => stage.family.sub_customer,
            _ => stage.world.sell_plan(requester).await,
        };
        let params = stage.world.external_params(requester, column, entity).await;
        let change = (change.to_owned(), entity);
        refuses_one_of_three(&stage, Resource::ExternalParams, params, change, "CUSTOMER_1026").await;
    }
    let database = stage.end();
    stopped.drop_from(&database).await;
}

/// Three calls share a statement. The change is made after the statement has taken its snapshot, and the call about the changed
/// row is refused.
async fn refuses_one_of_three(
    stage: &Stage,
    resource: Resource,
    changed: Uuid,
    (change, of): (String, Uuid),
    expected: &str,
) {
    let other = stage.world.family().await;
    let kept = stage.world.rows(resource, other.in_scope(resource), 2).await;
    let keep = |id: Uuid| stage.call(other.requester, other.in_scope(resource), resource, &[id]);

    let occupied = stage.occupy_as(other).await;
    let calls = [keep(kept[0]), stage.own_call(resource, &[changed]), keep(kept[1])];
    let waiting = stage.queue(calls).await;
    let keeper = Stopped::close_gate(&stage.database).await;
    occupied.let_go().await;
    stage.until_waiting("-- share_", "Timeout").await;
    sqlx::query(AssertSqlSafe(change)).bind(of).execute(&stage.database.pool).await.unwrap();
    keeper.close().await.unwrap();

    let answers = answers(waiting).await;
    assert_eq!(code(&answers[1]), (404, expected.to_owned()));
    let done = [answers[0].assert_deleted(), answers[2].assert_deleted()];
    assert_eq!(stage.transactions(&done).await, 1, "the others are done together all the same");
    let by_us = format!("select count(*) from {} where id = $1 and deleted_by is not null", table(resource));
    let by_us: i64 =
        sqlx::query_scalar(AssertSqlSafe(by_us)).bind(changed).fetch_one(&stage.database.pool).await.unwrap();
    assert_eq!(by_us, 0);
}

/// A row that is updated in this time, and stays eligible, has a newer version than the one in the snapshot.
#[tokio::test]
async fn a_row_that_is_edited_before_its_lock_is_deleted_all_the_same_as_are_those_of_the_others() {
    let database = TestDatabase::migrated().await;
    let stopped = Stopped::at_customers_of(&database).await;
    let stage = Stage::on(database, &stopped.url, &[]).await;
    let rows = stage.world.rows(Resource::Contact, stage.family.sub_customer, 3).await;

    let occupied = stage.occupy().await;
    let waiting = stage.queue(rows.iter().map(|row| stage.own_call(Resource::Contact, &[*row]))).await;
    let keeper = Stopped::close_gate(&stage.database).await;
    occupied.let_go().await;
    stage.until_waiting("-- share_", "Timeout").await;
    stage.world.execute("update contact set email = 'b@example.com' where id = $1", rows[1]).await;
    keeper.close().await.unwrap();

    let done: Vec<Uuid> = answers(waiting).await.iter().map(|answer| answer.assert_deleted()).collect();
    assert_eq!(stage.transactions(&done).await, 3, "each alone, after the statement was rolled back");
    stage.assert_rows_and_operations_agree().await;
    let database = stage.end();
    stopped.drop_from(&database).await;
}

/// Overlapping lists, writers that lock the same rows, and customers that are moved, all at the same time, over two
/// connections.
#[rstest]
#[case::contact(Resource::Contact)]
#[case::zone(Resource::Zone)]
#[tokio::test]
async fn shared_and_ordinary_statements_other_writers_and_re_parentings_never_deadlock(#[case] resource: Resource) {
    let stage = Stage::with(&[("CUSTOMER_DELETION__DATABASE__MAX_CONNECTIONS", "2")]).await;
    let customer = stage.family.in_scope(resource);
    let requester = stage.family.requester;
    let rows = stage.world.rows(resource, customer, 4000).await;
    let lock = format!("select from {} where id = any($1) order by id for update", table(resource));
    // The first row of the next list.
    let (next, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let clients = (0..16).map(|_| async {
        let mut statuses = Vec::new();
        while !done.load(Ordering::Relaxed) {
            // Half of each list is the neighbour's as well.
            let first = next.fetch_add(2, Ordering::Relaxed) % (rows.len() - 4);
            statuses.push(send(stage.call(requester, customer, resource, &rows[first..first + 4])).await.status);
        }
        statuses
    });
    let word = crate::support::resources::word(resource);
    let others = async {
        // Two calls wait for these rows, and all others queue. When the rows are free, some of those share a statement.
        let firsts: Vec<Uuid> = rows.iter().copied().take(40).collect();
        let mut tx = stage.database.pool.begin().await.unwrap();
        sqlx::query(AssertSqlSafe(lock.clone())).bind(firsts).execute(&mut *tx).await.unwrap();
        stage.until_more_than(13).await;
        tx.rollback().await.unwrap();
        let began = Instant::now();
        while stage.shared(word).await[1] < 2.0 {
            assert!(began.elapsed() < Duration::from_secs(30), "no calls share a statement");
            pause(began).await;
        }
        let [_, shared_before, _] = stage.shared(word).await;
        for _ in 0..40 {
            let first = next.load(Ordering::Relaxed) % (rows.len() - 20);
            let some = &rows[first..first + 20];
            let mut tx = stage.database.pool.begin().await.unwrap();
            sqlx::query(AssertSqlSafe(lock.clone())).bind(some).execute(&mut *tx).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
            tx.rollback().await.unwrap();
            let mut tx = stage.database.pool.begin().await.unwrap();
            for sql in [
                "update customer set name = 'Renamed' where id = $1",
                "update customer set parent_id = null where id = $1",
            ] {
                sqlx::query(sql).bind(customer).execute(&mut *tx).await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tx.rollback().await.unwrap();
        }
        let [_, shared, _] = stage.shared(word).await;
        assert!(shared > shared_before, "no calls share a statement beside the others");
        done.store(true, Ordering::Relaxed);
    };
    let (statuses, ()) = tokio::join!(join_all(clients), others);

    let statuses: Vec<u16> = statuses.into_iter().flatten().collect();
    assert!(statuses.iter().all(|status| [200, 404].contains(status)), "{statuses:?}");
    stage.assert_rows_and_operations_agree().await;
    assert_eq!(deadlocks(&stage.database.pool).await, 0);
}
