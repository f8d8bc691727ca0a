//! The schema keeps the rows of a customer under legal hold, and the records, against every writer.

use customer_deletion::resource::Resource;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::{furnish, hold};
use crate::dba::maintenance::run;
use crate::support::resources::{every_reference, table as table_of};
use crate::support::{TestDatabase, TestService, World};

const REFUSED: &str = "23001";

/// The SQLSTATE and the message with which a statement fails. The transaction is rolled back.
async fn refusal(database: &TestDatabase, sql: &str) -> (String, String) {
    let mut tx = database.pool.begin().await.unwrap();
    let error = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut *tx).await.expect_err(sql);
    let error = error.as_database_error().unwrap_or_else(|| panic!("{sql}: {error}"));
    (error.code().unwrap().into_owned(), error.message().to_owned())
}

async fn done(connection: &mut PgConnection, sql: &str) -> u64 {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await;
    done.unwrap_or_else(|error| panic!("{sql}: {error}")).rows_affected()
}

#[tokio::test]
async fn no_writer_erases_or_moves_a_row_of_a_customer_under_hold() {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let family = world.family().await;
    let customer = world.customer(Some(family.requester)).await;
    let other = family.sub_customer;
    let rows = furnish(&world, customer, family.requester).await;
    let mut moves = Vec::new();
    for (resource, reference) in every_reference() {
        let referred = world.row(resource, family.requester).await;
        moves.push((reference.table, format!("{}_id = '{referred}'", table_of(resource))));
    }
    hold(&database, customer, "case 12/34").await;
    let before = world.fingerprint().await;
    let expected = (REFUSED.to_owned(), format!("customer {customer} is under legal hold"));

    for (table, id) in &rows {
        let merge =
            format!("merge into {table} using (values ('{id}'::uuid)) as wanted (id) on {table}.id = wanted.id");
        let mut attempts = vec![
            format!("delete from {table} where id = '{id}'"),
            format!("{merge} when matched then delete"),
            format!("truncate {table} cascade"),
        ];
        if *table != "customer" {
            attempts.push(format!("delete from live_{table} where id = '{id}'"));
            attempts.push(format!("update {table} set id = gen_random_uuid() where id = '{id}'"));
            attempts.push(format!("update {table} set customer_id = '{other}' where id = '{id}'"));
            attempts.push(format!("update live_{table} set customer_id = '{other}' where id = '{id}'"));
            attempts.push(format!("{merge} when matched then update set customer_id = '{other}'"));
        }
        for (_, other_row) in moves.iter().filter(|(reference, _)| reference == table) {
            attempts.push(format!("update {table} set {other_row} where id = '{id}'"));
        }
        for sql in attempts {
            assert_eq!(refusal(&database, &sql).await, expected, "{sql}");
        }
    }

    let mut tx = database.pool.begin().await.unwrap();
    for (table, id) in &rows {
        // A writer that sets the column to its old value is allowed, and the customer can get rows.
        let (column, value) = if *table == "customer" { ("id", id) } else { ("customer_id", &customer) };
        assert_eq!(done(&mut tx, &format!("update {table} set {column} = '{value}' where id = '{id}'")).await, 1);
    }
    tx.rollback().await.unwrap();
    assert_eq!(world.fingerprint().await, before);
}

/// No row refers to it, so no foreign key keeps its id.
#[tokio::test]
async fn a_customer_under_hold_keeps_its_id() {
    let database = TestDatabase::migrated().await;
    let customer = World::new(database.pool.clone()).customer(None).await;
    hold(&database, customer, "case 12/34").await;

    let (state, _) = refusal(&database, "update customer set id = gen_random_uuid()").await;

    assert_eq!(state, REFUSED);
}

#[tokio::test]
async fn the_operations_and_restorations_of_a_customer_under_hold_stay() {
    let service = TestService::start().await;
    let (database, family) = (&service.database, service.world.family().await);
    let (requester, customer, contact) = (family.requester, family.sub_customer, Resource::Contact);
    let row = service.world.contact(customer).await;
    let restored = service.delete_one(requester, customer, contact, row).await.assert_deleted();
    run(database, &["restore", "--operation", &restored.to_string()]).await.done();

    for holder in [requester, customer] {
        hold(database, holder, "case 12/34").await;
        let expected = (REFUSED.to_owned(), format!("customer {holder} is under legal hold"));
        for sql in [
            "delete from operation",
            "delete from restoration",
            "update operation set customer_id = gen_random_uuid(), requester_id = gen_random_uuid()",
            "update operation set actor = null",
        ] {
            // An open operation is not final yet.
            let open = "set local session_replication_role = replica;
                update operation set status = 'OPEN', deleted_rows = 0, completed_at = null, actor = 'a user';
                set local session_replication_role = origin;";
            let sql = if sql.starts_with("update") { format!("{open} {sql}") } else { sql.to_owned() };
            assert_eq!(refusal(database, &sql).await, expected, "{sql}");
        }
        run(database, &["release", "--customer", &holder.to_string()]).await.done();
    }
}

/// Records of a restore, of a purge and of the erasure of a row, and a hold.
async fn recorded() -> TestService {
    let service = TestService::start().await;
    let (database, family) = (&service.database, service.world.family().await);
    let zones = service.world.rows(Resource::Zone, family.requester, 2).await;
    let delete = |zone| service.delete_one(family.requester, family.requester, Resource::Zone, zone);
    let restored = delete(zones[0]).await.assert_deleted();
    run(database, &["restore", "--operation", &restored.to_string()]).await.done();
    delete(zones[1]).await.assert_deleted();
    run(database, &["purge", "--zone", &zones[1].to_string()]).await.done();
    hold(database, family.sub_customer, "case 12/34").await;
    service
}

/// No writer of the tables can do this, not even their owner.
#[tokio::test]
async fn records_of_restores_purges_and_holds_cannot_be_changed_or_removed() {
    let service = recorded().await;
    // Otherwise a check constraint would reject the lower count.
    let more = "update erasure set erased_rows = erased_rows + 1";
    sqlx::raw_sql(more).execute(&service.database.pool).await.unwrap();
    for (case, sql) in [
        ("a restore is changed", "update restoration set restored_by = 'nobody'"),
        ("a restore is forgotten before its operation", "delete from restoration"),
        ("restores are truncated", "truncate restoration"),
        ("operations are truncated", "truncate operation"),
        ("a purge that ended counts more", "update purge set erased = erased || '{\"zone\": 2}'"),
        ("a purge is taken back", "update purge set ended_at = null"),
        ("a purge is forgotten", "delete from purge"),
        ("purges are truncated", "truncate purge"),
        ("an erasure counts less", "update erasure set erased_rows = erased_rows - 1"),
        ("an erasure is given to another operation", "update erasure set operation_id = gen_random_uuid()"),
        ("an erasure is given to another purge", "update erasure set purge_id = gen_random_uuid()"),
        ("an erasure is forgotten before its operation", "delete from erasure"),
        ("erasures are truncated", "truncate erasure"),
        ("a hold is forgotten", "delete from legal_hold"),
        ("holds are truncated", "truncate legal_hold"),
    ] {
        let (state, message) = refusal(&service.database, sql).await;
        assert_eq!(state, REFUSED, "{case}: {message}");
    }
}

#[tokio::test]
async fn a_purge_that_runs_only_counts_more_and_ends() {
    let database = TestDatabase::migrated().await;
    let begin = "insert into purge (id, kind, erased) values (gen_random_uuid(), 'age', '{\"zone\": 2}')";
    sqlx::raw_sql(begin).execute(&database.pool).await.unwrap();
    for (case, change, is_refused) in [
        ("it counts less", "erased = '{\"zone\": 1}'", true),
        ("it forgets a kind", "erased = '{\"contact\": 9}'", true),
        ("it was asked for something else", "subject_ids = array[gen_random_uuid()]", true),
        ("it was of somebody else", "purged_by = 'nobody'", true),
        ("it began at another time", "started_at = now() - interval '1 day'", true),
        ("it counts more", "erased = '{\"zone\": 3, \"contact\": 1}'", false),
        ("it ends", "ended_at = '2001-01-01'", false),
    ] {
        let mut tx = database.pool.begin().await.unwrap();
        let sql = format!("update purge set {change}");
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *tx).await;

        assert_eq!(done.is_err(), is_refused, "{case}: {done:?}");
        if !is_refused {
            let now = "select coalesce(ended_at > now() - interval '1 hour', true) from purge";
            assert!(sqlx::query_scalar::<_, bool>(now).fetch_one(&mut *tx).await.unwrap(), "{case}");
        }
        tx.rollback().await.unwrap();
    }
}

/// Foreign keys of PostgreSQL fail in the same way.
#[tokio::test]
async fn a_snapshot_older_than_a_hold_erases_nothing_more() {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    for level in ["repeatable read", "serializable"] {
        let customer = world.customer(None).await;
        let contacts = world.rows(Resource::Contact, customer, 2).await;
        let mut older = database.pool.begin().await.unwrap();
        done(&mut older, &format!("set transaction isolation level {level}")).await;
        done(&mut older, "select from contact").await;
        let mut erasing = database.pool.begin().await.unwrap();
        done(&mut erasing, &format!("set transaction isolation level {level}")).await;
        done(&mut erasing, &format!("delete from contact where id = '{}'", contacts[0])).await;

        // It does not wait for a transaction that erases.
        let insert = "set lock_timeout = '5s';
            insert into legal_hold (id, customer_id, reason) select gen_random_uuid(), id, 'case 12/34' from customer
            where id = ";
        sqlx::raw_sql(AssertSqlSafe(format!("{insert}'{customer}'"))).execute(&database.pool).await.unwrap();

        for (mut transaction, what) in
            [(older, "delete from contact"), (erasing, "update contact set id = gen_random_uuid()")]
        {
            let sql = format!("{what} where id = '{}'", contacts[1]);
            let error = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await.unwrap_err();
            assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("40001"), "{level}: {what}");
        }
        let mut newer = database.pool.begin().await.unwrap();
        done(&mut newer, &format!("set transaction isolation level {level}")).await;
        let sql = format!("delete from contact where customer_id = '{customer}'");
        let error = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *newer).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some(REFUSED), "{level}");
    }
}

/// Rows of other customers are erased at every isolation level.
#[tokio::test]
async fn without_a_hold_rows_go_at_every_level() {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let customers = [world.customer(None).await, world.customer(None).await];
    hold(&database, customers[1], "case 12/34").await;
    for level in ["read uncommitted", "repeatable read", "serializable"] {
        let contact = world.contact(customers[0]).await;
        let mut tx = database.pool.begin().await.unwrap();
        done(&mut tx, &format!("set transaction isolation level {level}")).await;

        assert_eq!(done(&mut tx, &format!("delete from contact where id = '{contact}'")).await, 1, "{level}");
        tx.commit().await.unwrap();
    }
}

/// A row with another id would not be the one that its operation names.
#[tokio::test]
async fn a_deleted_row_keeps_its_id() {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let customer = world.customer(None).await;
    let other = world.customer(None).await;
    let rows: Vec<(&str, Uuid)> = furnish(&world, customer, other).await;
    let references: Vec<&str> = every_reference().map(|(_, reference)| reference.table).collect();
    for (table, id) in rows.iter().filter(|(table, _)| *table != "customer" && !references.contains(table)) {
        let delete = format!("update {table} set deleted_at = now() where id = '{id}'");
        sqlx::raw_sql(AssertSqlSafe(delete)).execute(&database.pool).await.unwrap();
        let sql = format!("update {table} set id = gen_random_uuid() where id = '{id}'");
        assert_eq!(refusal(&database, &sql).await.0, REFUSED, "{sql}");
    }
}
