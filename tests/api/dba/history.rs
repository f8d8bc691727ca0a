//! The history of deletions for support and other readers, and its cost in PostgreSQL.

use customer_deletion::resource::Resource;
use sqlx::{AssertSqlSafe, Executor, Row};
use uuid::Uuid;

use crate::support::resources::{contract, every_resource, most, table, word};
use crate::support::service::send;
use crate::support::{TestDatabase, TestPool, TestService, World};

const DBA_PAGE: &str = include_str!("../../../docs/dba.md");

/// The statement in docs/dba.md that asks about a contact of the sample data, with this row instead.
fn documented_question(row: Uuid) -> String {
    let begin = DBA_PAGE.find("select *\nfrom deletion_history").expect("the page for DBAs has the question");
    let question = DBA_PAGE[begin..].split(';').next().unwrap();
    assert!(question.contains("3c8e71f5-90a2-4b6d-8e34-7f15d2a6c098"), "{question}");
    question.replace("3c8e71f5-90a2-4b6d-8e34-7f15d2a6c098", &row.to_string())
}

#[tokio::test]
async fn support_learns_who_deleted_it_when_in_which_call_and_with_what_else() {
    let service = TestService::start_with(|settings| {
        settings.requester.header.actor_name = Some("X-Actor-Id".to_owned());
    })
    .await;
    let family = service.world.family().await;
    for resource in every_resource() {
        let customer = family.in_scope(resource);
        let count = most(3, resource);
        let mut rows = service.world.rows(resource, customer, count).await;
        rows.sort();
        let live = service.world.row(resource, customer).await;
        let call = service.deletion(family.requester, customer, resource, &rows);
        let operation = send(call.header("X-Actor-Id", "an-actor")).await.assert_deleted();

        let mut support = service.database.pool.begin().await.unwrap();
        support.execute("set local role customer_deletion_support").await.unwrap();
        let answers =
            sqlx::raw_sql(AssertSqlSafe(documented_question(rows[0]))).fetch_all(&mut *support).await.unwrap();
        let [answer] = answers.as_slice() else { panic!("{} answers", answers.len()) };

        assert_eq!(answer.get::<String, _>("resource"), word(resource));
        assert_eq!(answer.get::<Uuid, _>("id"), rows[0]);
        assert_eq!(answer.get::<Uuid, _>("customer_id"), customer);
        assert_eq!(answer.get::<Uuid, _>("operation_id"), operation);
        assert_eq!(answer.get::<Uuid, _>("requester_id"), family.requester);
        assert_eq!(answer.get::<String, _>("requester_name"), "A customer");
        assert_eq!(answer.get::<String, _>("actor"), "an-actor");
        assert_eq!(answer.get::<Vec<Uuid>, _>("deleted_with"), rows[1..]);
        let deleted_at = format!(
            "select deleted_at = (select deleted_at from {} where id = $1) from deletion_history where id = $1",
            table(resource)
        );
        let same: bool = sqlx::query_scalar(AssertSqlSafe(deleted_at))
            .bind(rows[0])
            .fetch_one(&service.database.pool)
            .await
            .unwrap();
        assert!(same, "one timestamp");
        let of_live = sqlx::raw_sql(AssertSqlSafe(documented_question(live))).fetch_all(&mut *support).await.unwrap();
        assert!(of_live.is_empty(), "a live row has no history");
    }
}

#[tokio::test]
async fn a_row_whose_operation_is_purged_or_never_was_still_has_its_time() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let zones = service.world.rows(Resource::Zone, family.requester, 2).await;
    let operation =
        service.delete_one(family.requester, family.requester, Resource::Zone, zones[0]).await.assert_deleted();
    sqlx::query("delete from operation where id = $1").bind(operation).execute(pool).await.unwrap();
    service.world.execute("update zone set deleted_at = now() where id = $1", zones[1]).await;

    for (zone, expected) in [(zones[0], Some(operation)), (zones[1], None)] {
        let answer = sqlx::raw_sql(AssertSqlSafe(documented_question(zone))).fetch_one(pool).await.unwrap();
        assert_eq!(answer.get::<Option<Uuid>, _>("operation_id"), expected);
        assert_eq!(answer.get::<Option<Uuid>, _>("requester_id"), None);
    }
}

/// Fills the tables so that a sequential scan is never the cheapest way to a row.
async fn fill(pool: &TestPool) {
    let customer = World::new(pool.clone()).customer(None).await;
    let mut session = pool.acquire().await.unwrap();
    // Triggers are off, because they would run for each row.
    session.execute("set session_replication_role = replica").await.unwrap();
    for resource in every_resource() {
        let ids: Vec<Uuid> = (0..20_000).map(|_| Uuid::now_v7()).collect();
        sqlx::query(contract(resource).insert).bind(ids).bind(customer).execute(&mut *session).await.unwrap();
        let delete = format!("update {} set deleted_at = now(), deleted_by = gen_random_uuid()", table(resource));
        session.execute(AssertSqlSafe(delete)).await.unwrap();
    }
    session.close().await.unwrap();
    let record = "
        insert into operation (deleted_rows, customer_id, id, requester_id, target_ids, resource, status, completed_at)
        select 1, $1, gen_random_uuid(), gen_random_uuid(), array[gen_random_uuid()], 'contact', 'SUCCESS', now()
        from generate_series(1, 20000)";
    sqlx::query(record).bind(customer).execute(pool).await.unwrap();
    pool.execute("vacuum analyze").await.unwrap();
}

async fn plan(pool: &TestPool, question: &str) -> Vec<String> {
    let explain = format!("explain (costs off) {question}");
    let plan = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(pool).await.unwrap();
    plan.iter().map(|line| line.get(0)).collect()
}

#[tokio::test]
async fn every_question_to_the_history_goes_through_indexes() {
    let database = TestDatabase::migrated().await;
    let pool = &database.pool;
    fill(pool).await;
    let id = Uuid::now_v7();

    let by_id = plan(pool, &documented_question(id)).await;
    let with_resource = plan(pool, &format!("{} and resource = 'contact'", documented_question(id))).await;
    let all_of_a_call = format!(
        "select * from deletion_history where id = any (array(select unnest(target_ids) from operation where id = '{id}'))"
    );
    let all_of_a_call = plan(pool, &all_of_a_call).await;

    for plan in [&by_id, &with_resource, &all_of_a_call] {
        // The name of a customer comes from a table that has one row here.
        let reads = plan.iter().any(|line| line.contains("Seq Scan") && !line.contains("on customer"));
        assert!(!reads, "{plan:#?}");
    }
    let reads = |plan: &[String], table: &str| {
        let scans = [format!(" on {table}"), format!("{table}_pkey")];
        plan.iter().any(|line| line.contains("Scan") && scans.iter().any(|scan| line.contains(scan.as_str())))
    };
    for table in every_resource().map(table).chain(["operation"]) {
        assert!(reads(&by_id, table) && reads(&all_of_a_call, table), "{table}: {by_id:#?} {all_of_a_call:#?}");
    }
    for other in every_resource().filter(|resource| *resource != Resource::Contact) {
        assert!(!reads(&with_resource, table(other)), "{with_resource:#?}");
    }
}

#[tokio::test]
async fn a_live_view_has_the_live_rows() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    for resource in every_resource() {
        let customer = family.in_scope(resource);
        let rows = service.world.rows(resource, customer, 2).await;
        service.delete_one(family.requester, customer, resource, rows[0]).await.assert_deleted();

        let sql = format!("select id from live_{}", table(resource));
        let live: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&service.database.pool).await.unwrap();
        assert_eq!(live, rows[1..]);
    }
}

#[tokio::test]
async fn what_others_delete_is_not_in_the_live_views_either() {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let family = world.family().await;
    let product = world.product(family.requester).await;
    for customer in [family.sub_customer, family.second_sub_customer] {
        world.allocation(product, customer).await;
    }
    let detached = world.allocation(product, family.requester).await;
    world.execute("update product_allocation set detached_at = now() where id = $1", detached).await;
    world.subscriber(family.requester).await;
    world.sell_plan(family.requester).await;
    world.kill_customer(family.sub_customer).await;
    world.execute("update subscriber set deleted_at = now() where customer_id = $1", family.requester).await;
    world.execute("update sell_plan set deleted_at = now() where customer_id = $1", family.requester).await;

    for (view, live) in
        [("live_customer", 5), ("live_product_allocation", 1), ("live_subscriber", 0), ("live_sell_plan", 0)]
    {
        let sql = format!("select count(*) from {view}");
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&database.pool).await.unwrap();
        assert_eq!(count, live, "{view}");
    }
}

#[tokio::test]
async fn a_live_view_has_every_column_of_its_table_but_those_about_being_live() {
    let database = TestDatabase::migrated().await;
    let differences: Vec<String> = sqlx::query_scalar(
        "with columns as (
           select pg_class.relname::text as name, pg_attribute.attname::text as column_name
           from pg_attribute
           join pg_class on pg_class.oid = pg_attribute.attrelid
           where pg_class.relnamespace = 'public'::regnamespace and attnum > 0 and not attisdropped
         ),
         -- Every table with soft deletion.
         expected as (
           select 'live_' || columns.name as name, columns.column_name
           from columns
           where columns.name in (select name from columns where column_name in ('deleted_at', 'detached_at'))
             and columns.name not in (select viewname from pg_views)
             and columns.column_name not in ('deleted_at', 'deleted_by', 'detached_at', 'customer_live', 'live', 'held')
         ),
         found as (select name, column_name from columns where starts_with(name, 'live_') and name in (select viewname from pg_views))
         (table expected except table found) union all (table found except table expected)",
    )
    .fetch_all(&database.pool)
    .await
    .unwrap();
    assert!(differences.is_empty(), "{differences:?}");
}

#[tokio::test]
async fn a_reader_of_a_live_view_needs_no_table_and_its_functions_see_no_deleted_row() {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let customer = world.customer(None).await;
    let contacts = world.rows(Resource::Contact, customer, 2).await;
    world.execute("update contact set deleted_at = now() where id = $1", contacts[0]).await;
    sqlx::raw_sql(
        "grant select on live_contact to customer_deletion_support;
         create function looks_at(email text) returns boolean language plpgsql cost 0.000001 as 'begin return true; end';",
    )
    .execute(&database.pool)
    .await
    .unwrap();

    // Any role without a right to the table is sufficient.
    let mut reader = database.pool.begin().await.unwrap();
    reader.execute("set local role customer_deletion_support").await.unwrap();
    let question = "select id from live_contact where looks_at(email)";
    let seen: Vec<Uuid> = sqlx::query_scalar(question).fetch_all(&mut *reader).await.unwrap();
    assert_eq!(seen, contacts[1..]);
    assert!(reader.execute("select email from contact").await.is_err());
    // The view filters first, and then the reader, even if a planner finds another order cheaper.
    let plan = plan(&database.pool, question).await;
    assert!(plan.iter().any(|line| line.contains("Subquery Scan on live_contact")), "{plan:#?}");
}
