//! Other software in the same database: `migrate` and `roles.sql` do not change its objects.

use std::collections::BTreeSet;

use customer_deletion::schema::{self, MIGRATOR};
use rstest::rstest;
use sqlx::migrate::Migrate;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::files::{assert_same, catalog};
use super::{PATIENCE, migrate};
use crate::support::database::revert_to;
use crate::support::{TestDatabase, TestService};

/// The table of every application that uses sqlx without changes, with a failed migration among others.
const OTHER_HISTORY: &str = "
    create table _sqlx_migrations (
      version bigint primary key,
      description text not null,
      installed_on timestamptz not null default now(),
      success boolean not null,
      checksum bytea not null,
      execution_time bigint not null
    );
    insert into _sqlx_migrations (version, description, success, checksum, execution_time)
    values (1, 'invoices', true, 'a', 1), (21, 'more invoices', false, 'b', 1), (20260101000000, 'taxes', true, 'c', 1);
    grant select on _sqlx_migrations to customer_deletion_service";

async fn other_history(database: &TestDatabase) -> Vec<String> {
    let sql = "
        select _sqlx_migrations::text from _sqlx_migrations
        union all
        select concat_ws(' ', relowner::regrole, relacl) from pg_class where relname = '_sqlx_migrations'
        order by 1";
    sqlx::query_scalar(sql).fetch_all(&database.pool).await.unwrap()
}

#[tokio::test]
async fn the_history_of_another_application_stays_as_it_is() {
    let database = TestDatabase::empty().await;
    sqlx::raw_sql(OTHER_HISTORY).execute(&database.pool).await.unwrap();
    let before = other_history(&database).await;

    schema::migrate(&database.url.parse().unwrap()).await.unwrap();
    database.grant().await;
    revert_to(&mut database.pool.acquire().await.unwrap(), 10).await;
    let versions = schema::migrate(&database.url.parse().unwrap()).await.unwrap();
    database.grant().await;

    assert_eq!(versions, (10, schema::expected_version()));
    assert_eq!(other_history(&database).await, before);
    assert_eq!(before.len(), 4);
}

#[tokio::test]
async fn another_application_that_migrates_is_not_waited_for() {
    let database = TestDatabase::empty().await;
    let mut other = PgConnection::connect(&database.url).await.unwrap();
    other.lock().await.unwrap();
    let (result, told) = migrate(&database, &MIGRATOR, PATIENCE).await;
    assert_eq!((result.unwrap().0, told), (0, Vec::new()));
}

/// Every object that all the migrations create, without those that belong to a table.
async fn objects(database: &TestDatabase) -> BTreeSet<String> {
    let sql = "
        select case relkind when 'v' then 'view ' else 'table ' end || relname from pg_class
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'm', 'S')
        union all
        select 'type ' || typname from pg_type where typnamespace = 'public'::regnamespace and typtype = 'e'
        union all
        select format('function %s(%s)', proname, oidvectortypes(proargtypes)) from pg_proc
        where pronamespace = 'public'::regnamespace
        union all
        select 'publication ' || pubname from pg_publication";
    sqlx::query_scalar(sql).fetch_all(&database.pool).await.unwrap().into_iter().collect()
}

fn of_other_software(object: &str) -> String {
    match object.split_once(' ').unwrap() {
        ("view", name) => format!("create view {name} as select 1 as theirs"),
        ("table", name) => format!("create table {name} (theirs integer)"),
        ("type", name) => format!("create type {name} as enum ('theirs')"),
        ("function", name) => format!("create function {name} returns integer language sql as 'select 1'"),
        ("publication", name) => format!("create publication {name}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn whatever_stands_where_a_migration_would_create_its_own_is_named_and_nothing_is_changed() {
    let objects = objects(&TestDatabase::migrated().await).await;
    assert!(objects.len() > 25, "{objects:?}");
    let database = TestDatabase::empty().await;
    for object in objects.iter().filter(|object| *object != "table schema_version") {
        let create = of_other_software(object);
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&database.pool).await.unwrap();
    }
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    let before = catalog(&mut connection).await;

    let error = schema::migrate(&database.url.parse().unwrap()).await.unwrap_err().to_string();

    for object in objects.iter().filter(|object| *object != "table schema_version") {
        assert!(error.contains(object), "{object}: {error}");
    }
    assert!(error.starts_with("the schema public already has objects that migrations would create: "), "{error}");
    assert_same(&catalog(&mut connection).await, &before, "a migration that was refused");
}

#[rstest]
#[case::of_a_migration_tool(
    "create table schema_version (version_rank integer, version varchar(50), description text)"
)]
#[case::of_an_application("create table schema_version (version bigint); insert into schema_version values (3)")]
#[case::that_is_a_view("create view schema_version as select 1::bigint as version")]
#[tokio::test]
async fn a_schema_version_of_other_software_is_named_and_nothing_is_changed(#[case] create: &'static str) {
    let database = TestDatabase::empty().await;
    sqlx::raw_sql(create).execute(&database.pool).await.unwrap();
    let before = objects(&database).await;

    let error = schema::migrate(&database.url.parse().unwrap()).await.unwrap_err().to_string();

    assert!(error.contains("table schema_version") && error.contains("nothing was changed"), "{error}");
    assert_eq!(objects(&database).await, before);
}

#[tokio::test]
async fn a_migration_that_comes_later_is_refused_before_it_begins() {
    let database = TestDatabase::migrated().await;
    revert_to(&mut database.pool.acquire().await.unwrap(), 10).await;
    sqlx::raw_sql("create table product (theirs integer)").execute(&database.pool).await.unwrap();

    let error = schema::migrate(&database.url.parse().unwrap()).await.unwrap_err().to_string();

    assert!(error.contains("would create: table product;"), "{error}");
    let newest: i64 =
        sqlx::query_scalar("select max(version) from schema_version").fetch_one(&database.pool).await.unwrap();
    assert_eq!(newest, 10);
}

/// A DBA does this if the database has tables of these names already.
#[tokio::test]
async fn a_schema_of_its_own_keeps_the_service_apart() {
    let database = TestDatabase::empty().await;
    let others = "
        create table schema_version (version text);
        create table customer (theirs integer);
        create schema deletion";
    sqlx::raw_sql(others).execute(&database.pool).await.unwrap();
    let before = objects(&database).await;
    let url = format!("{}&options=-c%20search_path%3Ddeletion%2Cpublic", database.url);

    let options: PgConnectOptions = url.parse().unwrap();
    assert_eq!(schema::migrate(&options).await.unwrap(), (0, schema::expected_version()));
    assert_eq!(schema::migrate(&options).await.unwrap().0, schema::expected_version());
    crate::support::database::grant(&options).await;

    let without_publications = |objects: BTreeSet<String>| -> BTreeSet<String> {
        objects.into_iter().filter(|object| !object.starts_with("publication ")).collect()
    };
    assert_eq!(without_publications(objects(&database).await), before);
    let service = TestService::start_on(database, |settings| settings.database.url = Some(url.into())).await;
    let ready = service.management("/health/ready").await;
    assert_eq!(ready.status, 200, "{}", ready.text);
}

/// A publication belongs to the database, so each installation has names of its own for it.
#[tokio::test]
async fn two_schemas_of_one_database_have_an_installation_each() {
    let database = TestDatabase::migrated().await;
    sqlx::raw_sql("create schema \"Second\"").execute(&database.pool).await.unwrap();
    let options: PgConnectOptions = database.url.parse().unwrap();
    let second = options.options([("search_path", "\"Second\"")]);
    let before = publications(&database).await;

    assert_eq!(schema::migrate(&second).await.unwrap(), (0, schema::expected_version()));
    crate::support::database::grant(&second).await;

    let both = publications(&database).await;
    let of_second = [
        ("customer_deletion_of_Second", "\"Second\".operation"),
        ("customer_deletion_restorations_of_Second", "\"Second\".restoration"),
    ];
    let of_second = of_second.map(|(name, table)| format!("{name} customer_deletion_owner {table}"));
    assert_eq!(both, before.iter().cloned().chain(of_second).collect::<BTreeSet<_>>());
    revert_to(&mut PgConnection::connect_with(&second).await.unwrap(), 0).await;
    assert_eq!(publications(&database).await, before);
}

/// The names, owners and tables of the publications.
async fn publications(database: &TestDatabase) -> BTreeSet<String> {
    let sql = "
        select concat_ws(' ', pubname, pubowner::regrole, prrelid::regclass)
        from pg_publication
        join pg_publication_rel on prpubid = pg_publication.oid";
    sqlx::query_scalar(sql).fetch_all(&database.pool).await.unwrap().into_iter().collect()
}

#[tokio::test]
async fn a_publication_that_stands_in_the_way_of_a_second_installation_is_named() {
    let database = TestDatabase::migrated().await;
    let theirs = "create schema second; create publication customer_deletion_of_second";
    sqlx::raw_sql(theirs).execute(&database.pool).await.unwrap();
    let options: PgConnectOptions = database.url.parse().unwrap();

    let error = schema::migrate(&options.options([("search_path", "second")])).await.unwrap_err().to_string();

    assert!(error.contains("would create: publication customer_deletion_of_second;"), "{error}");
}

#[tokio::test]
async fn a_search_path_that_leads_elsewhere_is_named() {
    let database = TestDatabase::migrated().await;
    sqlx::raw_sql("create schema other").execute(&database.pool).await.unwrap();
    for (search_path, parts) in [
        ("other,public", ["schema_version is in the schema public", "in the schema other"]),
        ("nowhere", ["the search_path of this role leads to no schema", "set it to one"]),
    ] {
        let options: PgConnectOptions = database.url.parse().unwrap();
        let error = schema::migrate(&options.options([("search_path", search_path)])).await.unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}
