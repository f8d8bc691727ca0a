//! The functions of the schema keep its rules against writers with hostile settings, and for writers with few rights.

use customer_deletion::schema;
use rstest::rstest;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};
use uuid::Uuid;

use crate::support::{TestDatabase, World};

const FINAL: &str = "23001";

#[tokio::test]
async fn every_function_is_static_and_finds_its_tables_by_its_own_search_path() {
    let database = TestDatabase::migrated().await;
    let own = "from pg_proc where pronamespace = 'public'::regnamespace";
    let count: i64 =
        sqlx::query_scalar(AssertSqlSafe(format!("select count(*) {own}"))).fetch_one(&database.pool).await.unwrap();
    assert!(count >= 5, "{count} functions");

    for (wrong, condition) in [
        (
            "believes the search_path of the writer",
            "proconfig is distinct from array['search_path=pg_catalog, pg_temp']
             and proconfig is distinct from array['search_path=public, pg_temp']",
        ),
        ("builds SQL from text", r"replace(prosrc, '''execute''', '') ~* '\mexecute\M|\mformat\M'"),
        ("lends its owner's rights to anybody's trigger", "prosecdef and proacl::text ~ '[{,]=X'"),
        ("has no comment", "obj_description(oid, 'pg_proc') is null"),
    ] {
        let names = format!("select proname::text {own} and ({condition})");
        let found: Vec<String> = sqlx::query_scalar(AssertSqlSafe(names)).fetch_all(&database.pool).await.unwrap();
        assert!(found.is_empty(), "{found:?} {wrong}");
    }
}

/// A role with these rights, for the rest of the transaction.
fn writer(rights: &[&str]) -> String {
    let role = format!("customer_deletion_test_{}", Uuid::now_v7().simple());
    let grants: String = rights.iter().map(|right| format!("grant {right} to {role};")).collect();
    format!("create role {role}; {grants} set local role {role};")
}

/// Runs it in a transaction that is rolled back. Returns the constraint, or else the SQLSTATE, with which it fails.
async fn refusal(database: &TestDatabase, sql: &str) -> Option<String> {
    let mut tx = database.pool.begin().await.unwrap();
    let error = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut *tx).await.err()?;
    let error = error.as_database_error().unwrap_or_else(|| panic!("{sql}: {error}"));
    Some(error.constraint().map_or_else(|| error.code().unwrap().into_owned(), str::to_owned))
}

/// A schema that precedes every other in the search path. Its objects would disable the guards if the guards used them.
const HOSTILE: &str = "
    create schema hostile;
    create function hostile.format(text, variadic text[]) returns text
      language sql as $$ select 'select true' $$;
    create function hostile.pg_trigger_depth() returns integer language sql as $$ select 2 $$;
    create function hostile.has_function_privilege(regprocedure, text) returns boolean
      language sql as $$ select true $$;
    create table hostile.customer_tree (re_parentings bigint);
    create table hostile.customer (id uuid, parent_id uuid);
    create function hostile.equals(uuid, uuid) returns boolean language sql as $$ select false $$;
    create operator hostile.= (leftarg = uuid, rightarg = uuid, function = hostile.equals);
    grant usage on schema hostile to public;
    grant select, update on all tables in schema hostile to public;
    set local search_path = hostile, pg_catalog, public;";

#[tokio::test]
async fn a_hostile_search_path_opens_no_guard() {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let family = world.family().await;
    let contact = world.contact(family.sub_customer).await;
    world.execute("update contact set deleted_at = now(), deleted_by = gen_random_uuid() where id = $1", contact).await;
    let role = writer(&[
        "select, update (deleted_at, deleted_by) on public.contact",
        "select, update (parent_id) on public.customer",
    ]);

    let undelete = "update public.contact set deleted_at = null, deleted_by = null where deleted_at is not null";
    assert_eq!(refusal(&database, &format!("{HOSTILE} {role} {undelete}")).await.as_deref(), Some(FINAL));
    let close_a_cycle = format!(
        "update public.customer set parent_id = '{}' where id operator(pg_catalog.=) '{}'",
        family.grandchild, family.sub_customer
    );
    let refused = refusal(&database, &format!("{HOSTILE} {role} {close_a_cycle}")).await;
    assert_eq!(refused.as_deref(), Some("customer_has_no_cycle"));
}

/// Writers have no right to the tables that the guards read, and still get the full answer.
#[rstest]
#[case::a_deletion_is_final(
    &["select, update (deleted_at, deleted_by) on contact"],
    "update contact set deleted_at = null, deleted_by = null where deleted_at is not null",
    Some(FINAL)
)]
#[case::a_product_never_comes_back(
    &["select, update (deleted_at, deleted_by) on product"],
    "update product set deleted_at = null, deleted_by = null where deleted_at is not null",
    Some(FINAL)
)]
#[case::a_deleted_row_may_lose_its_personal_data(
    &["select, update (email) on contact"],
    "update contact set email = ''",
    None
)]
#[case::a_sub_customer_is_inserted(
    &["select (id) on customer", "insert on customer"],
    "insert into customer (id, parent_id, name) select gen_random_uuid(), id, 'a' from customer limit 1",
    None
)]
#[case::a_customer_is_re_parented(
    &["select, update (parent_id) on customer"],
    "update customer set parent_id = (select parent_id from customer where parent_id is not null limit 1)
     where id = (select max(id::text)::uuid from customer)",
    None
)]
#[case::a_customer_is_no_ancestor_of_its_own(
    &["select, update (parent_id) on customer"],
    "update customer set parent_id = (select child.id from customer as child where child.parent_id = customer.id limit 1)
     where exists (select from customer as child where child.parent_id = customer.id)",
    Some("customer_has_no_cycle")
)]
#[tokio::test]
async fn a_writer_with_few_rights_gets_the_answer_of_the_guard(
    #[case] rights: &[&str],
    #[case] sql: &str,
    #[case] expected: Option<&str>,
) {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let family = world.family().await;
    let rows = [world.contact(family.sub_customer).await, world.product(family.requester).await];
    world.execute("update contact set deleted_at = now(), deleted_by = $1", rows[0]).await;
    world.execute("update product set deleted_at = now(), deleted_by = $1", rows[1]).await;

    assert_eq!(refusal(&database, &format!("{} {sql}", writer(rights))).await.as_deref(), expected);
}

async fn session(database: &TestDatabase, search_path: &str) -> PgConnection {
    let options: PgConnectOptions = database.url.parse().unwrap();
    options.options([("search_path", search_path)]).disable_statement_logging().connect().await.unwrap()
}

#[tokio::test]
async fn the_schema_keeps_its_rules_in_a_schema_of_any_name() {
    let database = TestDatabase::empty().await;
    sqlx::raw_sql("create schema \"Deletions\"").execute(&database.pool).await.unwrap();
    let options: PgConnectOptions = database.url.parse().unwrap();
    let there = options.options([("search_path", "\"Deletions\"")]);
    schema::migrate(&there).await.unwrap();

    let mut writer = session(&database, "pg_catalog").await;
    let rows = "
        insert into \"Deletions\".customer (id, parent_id, name)
        values (md5('a')::uuid, null, 'a'), (md5('b')::uuid, md5('a')::uuid, 'b');
        insert into \"Deletions\".contact (id, customer_id, email, mobile)
        values (md5('c')::uuid, md5('b')::uuid, 'a', '1');
        update \"Deletions\".contact set deleted_at = now(), deleted_by = md5('d')::uuid;
        insert into \"Deletions\".operation (
          id, requester_id, customer_id, resource, target_ids, status, deleted_rows, completed_at
        )
        values (
          md5('d')::uuid, md5('a')::uuid, md5('b')::uuid, 'contact', array[md5('c')::uuid], 'SUCCESS', 1, now()
        );";
    sqlx::raw_sql(rows).execute(&mut writer).await.unwrap();
    let undelete = "update \"Deletions\".contact set deleted_at = null, deleted_by = null;";
    let record = "
        insert into \"Deletions\".restoration (
          id, operation_id, requester_id, customer_id, resource, restored_ids
        )
        values (md5('e')::uuid, md5('d')::uuid, md5('a')::uuid, md5('b')::uuid, 'contact', array[md5('c')::uuid]);";
    let cycle = "update \"Deletions\".customer set parent_id = md5('b')::uuid where id = md5('a')::uuid";

    for (sql, expected) in [
        (undelete.to_owned(), Some(FINAL)),
        (cycle.to_owned(), Some("23514")),
        (record.to_owned(), None),
        (format!("{undelete} select 1 / (select count(*) from \"Deletions\".contact where deleted_at is null)"), None),
    ] {
        let result = sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&mut writer).await;
        let state = result.err().map(|error| error.as_database_error().unwrap().code().unwrap().into_owned());
        assert_eq!(state.as_deref(), expected, "{sql}");
    }
}
