//! Restores that are refused. Each test ends by asserting that nothing changed.

use std::sync::Arc;

use customer_deletion::resource::Resource;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{Said, list, run};
use crate::support::TestService;
use crate::support::resources::{every_list, table};
use crate::support::service::until_somebody_waits;
use crate::support::world::Family;

/// A deletion of a new family, in a service that may have others.
struct Deleted {
    service: Arc<TestService>,
    family: Family,
    ids: Vec<Uuid>,
    operation: Uuid,
}

impl Deleted {
    async fn rows(resource: Resource, count: usize) -> Deleted {
        Deleted::rows_in(&Arc::new(TestService::start().await), resource, count).await
    }

    async fn rows_in(service: &Arc<TestService>, resource: Resource, count: usize) -> Deleted {
        let family = service.world.family().await;
        let ids = service.world.rows(resource, family.in_scope(resource), count).await;
        Deleted::these(service, family, resource, ids).await
    }

    async fn these(service: &Arc<TestService>, family: Family, resource: Resource, ids: Vec<Uuid>) -> Deleted {
        let deletion = service.delete(family.requester, family.in_scope(resource), resource, &ids).await;
        Deleted { operation: deletion.assert_deleted(), service: Arc::clone(service), family, ids }
    }

    async fn restore(&self) -> Said {
        run(&self.service.database, &["restore", "--operation", &self.operation.to_string()]).await
    }

    /// Asserts that the restore is refused with these parts in its message, in a dry run too, and that nothing changes.
    async fn assert_refused(&self, parts: &[&str]) {
        let before = self.service.world.fingerprint().await;
        let operation = self.operation.to_string();
        run(&self.service.database, &["restore", "--dry-run", "--operation", &operation]).await.refused(parts);
        self.restore().await.refused(parts).refused(&["customer-deletion: nothing is restored: "]);
        assert_eq!(self.service.world.fingerprint().await, before);
        assert_eq!(super::rows(&self.service.database.pool, "restoration").await, 0);
    }
}

#[tokio::test]
async fn a_name_that_was_taken_meanwhile_keeps_all_rows_deleted() {
    let deleted = Deleted::rows(Resource::Zone, 3).await;
    let taker = Uuid::now_v7();
    let take = "insert into zone (id, customer_id, name, country_code)
        select $1, customer_id, name, 'DEU' from zone where id = $2";
    let pool = &deleted.service.database.pool;
    sqlx::query(take).bind(taker).bind(deleted.ids[1]).execute(pool).await.unwrap();

    let line = format!("zone {}: its name is taken by the zone {taker}", deleted.ids[1]);
    deleted.assert_refused(&["1 of the rows cannot be restored:\n", &line]).await;

    // Once the other zone has another name, it is free.
    deleted.service.world.execute("update zone set name = 'another' where id = $1", taker).await;
    deleted.restore().await.done();
    assert_eq!(deleted.service.world.deleted(Resource::Zone, &deleted.ids).await, Vec::<Uuid>::new());
}

#[tokio::test]
async fn a_name_that_is_being_taken_is_waited_for_and_then_named() {
    let deleted = Deleted::rows(Resource::Zone, 2).await;
    let mut taking = deleted.service.database.pool.begin().await.unwrap();
    let taker = Uuid::now_v7();
    let take = "insert into zone (id, customer_id, name, country_code)
        select $1, customer_id, name, 'DEU' from zone where id = $2";
    sqlx::query(take).bind(taker).bind(deleted.ids[0]).execute(&mut *taking).await.unwrap();
    let before = deleted.service.world.fingerprint().await;

    let (said, ()) = tokio::join!(deleted.restore(), async {
        until_somebody_waits(&deleted.service.database.pool).await;
        taking.commit().await.unwrap();
    });

    said.refused(&[&format!("its name is taken by the zone {taker}")]);
    deleted.service.world.execute("delete from zone where id = $1", taker).await;
    assert_eq!(deleted.service.world.fingerprint().await, before);
}

#[tokio::test]
async fn two_deleted_zones_that_were_given_one_name_do_not_come_back_together() {
    let deleted = Deleted::rows(Resource::Zone, 2).await;
    let rename = format!("update zone set name = 'twin' where id = any('{}')", list(&deleted.ids));
    sqlx::raw_sql(AssertSqlSafe(rename)).execute(&deleted.service.database.pool).await.unwrap();
    let lines = deleted.ids.iter().map(|id| format!("zone {id}: its name is taken")).collect::<Vec<_>>();
    deleted.assert_refused(&lines.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn rows_of_a_deleted_customer_stay_deleted() {
    let service = Arc::new(TestService::start().await);
    for resource in every_list() {
        let deleted = Deleted::rows_in(&service, resource, 2).await;
        let customer = deleted.family.in_scope(resource);
        deleted.service.world.kill_customer(customer).await;
        let line = format!("{}: its customer {customer} is deleted", deleted.ids[1]);
        deleted.assert_refused(&["2 of the rows cannot be restored:\n", &line]).await;
    }
}

/// The columns of external params that refer to an entity, with its word and its table.
const ENTITIES: [(&str, &str, &str); 3] = [
    ("sub_customer_id", "the sub-customer", "customer"),
    ("subscriber_id", "the subscriber", "subscriber"),
    ("sell_plan_id", "the sell plan", "sell_plan"),
];

#[tokio::test]
async fn external_params_of_an_entity_that_was_deleted_after_them_stay_deleted() {
    let service = Arc::new(TestService::start().await);
    for (column, entity, entities) in ENTITIES {
        println!("{column}");
        let family = service.world.family().await;
        let id = entity_of(&service, family, column).await;
        let other = service.world.row(Resource::ExternalParams, family.requester).await;
        let params = service.world.external_params(family.requester, column, id).await;
        let deleted = Deleted::these(&service, family, Resource::ExternalParams, vec![params, other]).await;
        let delete = format!("update {entities} set deleted_at = now() where id = '{id}'");
        sqlx::raw_sql(AssertSqlSafe(delete)).execute(&service.database.pool).await.unwrap();

        let line = format!("external-params {params}: {entity} {id} it is set on is deleted");
        deleted.assert_refused(&["1 of the rows cannot be restored:\n", &line]).await;
    }
}

async fn entity_of(service: &TestService, family: Family, column: &str) -> Uuid {
    match column {
        "subscriber_id" => service.world.subscriber(family.requester).await,
        "sell_plan_id" => service.world.sell_plan(family.requester).await,
        _ => family.sub_customer,
    }
}

#[tokio::test]
async fn external_params_of_an_entity_that_was_deleted_before_them_come_back() {
    let service = Arc::new(TestService::start().await);
    for (column, _, entities) in ENTITIES {
        println!("{column}");
        let family = service.world.family().await;
        let id = entity_of(&service, family, column).await;
        let params = service.world.external_params(family.requester, column, id).await;
        let delete = format!("update {entities} set deleted_at = now() where id = '{id}'");
        sqlx::raw_sql(AssertSqlSafe(delete)).execute(&service.database.pool).await.unwrap();
        let deleted = Deleted::these(&service, family, Resource::ExternalParams, vec![params]).await;

        deleted.restore().await.done();
        assert!(service.world.deleted(Resource::ExternalParams, &[params]).await.is_empty(), "{column}");
    }
}

#[tokio::test]
async fn what_the_rows_hang_on_cannot_be_deleted_beside_a_restore() {
    let service = Arc::new(TestService::start().await);
    for (delete, gone) in [
        ("update customer set deleted_at = now() where id = $1", "its customer"),
        ("update customer set deleted_at = now() where parent_id = $1", "the sub-customer"),
        ("update subscriber set deleted_at = now() where customer_id = $1", "the subscriber"),
        ("update sell_plan set deleted_at = now() where customer_id = $1", "the sell plan"),
    ] {
        let family = service.world.family().await;
        let plan = service.world.sell_plan(family.requester).await;
        let params = vec![
            service.world.row(Resource::ExternalParams, family.requester).await,
            service.world.external_params(family.requester, "sub_customer_id", family.sub_customer).await,
            service.world.external_params(family.requester, "sell_plan_id", plan).await,
        ];
        let deleted = Deleted::these(&service, family, Resource::ExternalParams, params).await;
        let mut deleting = service.database.pool.begin().await.unwrap();
        sqlx::query(delete).bind(family.requester).execute(&mut *deleting).await.unwrap();

        let (said, ()) = tokio::join!(deleted.restore(), async {
            until_somebody_waits(&service.database.pool).await;
            deleting.commit().await.unwrap();
        });

        said.refused(&[gone]);
        let still = service.world.deleted(Resource::ExternalParams, &deleted.ids).await;
        assert_eq!(still.len(), 3, "{gone}");
    }
}

#[tokio::test]
async fn rows_that_are_locked_for_long_end_the_restore() {
    let deleted = Deleted::rows(Resource::Contact, 2).await;
    let mut holding = deleted.service.database.pool.begin().await.unwrap();
    let hold = "select from contact where id = $1 for update";
    sqlx::query(hold).bind(deleted.ids[0]).execute(&mut *holding).await.unwrap();
    deleted.assert_refused(&["somebody locks the rows"]).await;
}

#[tokio::test]
async fn a_product_cannot_be_restored() {
    Deleted::rows(Resource::Product, 1).await.assert_refused(&["a deleted product cannot be restored"]).await;
}

#[tokio::test]
async fn rows_that_were_erased_are_named() {
    let deleted = Deleted::rows(Resource::Address, 3).await;
    deleted.service.world.execute("delete from address where id = $1", deleted.ids[2]).await;
    let line = format!("address {}: is erased for good", deleted.ids[2]);
    deleted.assert_refused(&["1 of the rows cannot be restored:\n", &line]).await;
}

#[tokio::test]
async fn an_unknown_and_a_refused_operation_have_different_messages() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let never = Uuid::now_v7();
    let refused = service.delete_one(family.requester, family.requester, Resource::Zone, never).await.request_id();
    let before = service.world.fingerprint().await;

    let unknown = run(&service.database, &["restore", "--operation", &never.to_string()]).await;
    unknown.refused(&[&format!("no operation has the id {never}")]);
    let failure = run(&service.database, &["restore", "--operation", &refused.to_string()]).await;
    failure.refused(&[&format!("operation {refused} deleted nothing; its status is FAILURE")]);
    assert_eq!(service.world.fingerprint().await, before);
}

/// Every writer that may update the columns must record a restore of the whole operation.
#[tokio::test]
async fn nobody_ends_a_deletion_without_recording_a_restore_of_all_its_rows() {
    let service = Arc::new(TestService::start().await);
    for resource in every_list() {
        let deleted = Deleted::rows_in(&service, resource, 2).await;
        let (pool, row) = (&deleted.service.database.pool, deleted.ids[0]);
        let table = table(resource);
        let undelete = format!("update {table} set deleted_at = null, deleted_by = null where deleted_at is not null");
        let record = |column, value: &str| record(deleted.operation, column, value);
        let whole = record("id", "id");
        let other = format!("'{}'::uuid", Uuid::now_v7());
        let role = format!("customer_deletion_test_{}", Uuid::now_v7().simple());
        let service_role = format!(
            "create role {role}; grant select, update (deleted_at, deleted_by) on {table} to {role}; set local role {role}"
        );

        let spare = deleted.service.world.row(resource, deleted.family.in_scope(resource)).await;
        let delete_another =
            format!("update {table} set deleted_at = now(), deleted_by = {other} where id = '{spare}'");
        let trigger = format!(
            "create table mine (id integer); grant insert on mine to public;
             create function undelete() returns trigger language plpgsql as $$ begin {undelete}; return new; end $$;
             create trigger undelete before insert on mine for each row execute function undelete()"
        );

        let attempts = [
            ("no record", "23001", undelete.clone()),
            ("no right to the record", "23001", format!("{service_role}; {undelete}")),
            ("of another operation", "23514", record("operation_id", &other)),
            ("of another requester", "23514", record("requester_id", &other)),
            ("of another customer", "23514", record("customer_id", &other)),
            ("of another resource", "23514", record("resource", "'product'")),
            ("of another row", "23514", record("restored_ids", &format!("array[{other}]"))),
            ("of one row more", "23514", record("restored_ids", &format!("target_ids || {other}"))),
            ("of one row less", "23514", record("restored_ids", "target_ids[2:]")),
            ("beside a row of another operation", "23001", format!("{delete_another}; {whole}; {undelete}")),
            ("one row is erased", "23514", format!("delete from {table} where id = '{row}'; {whole}")),
            ("in a trigger of a writer", "23001", format!("{trigger}; {service_role}; insert into mine values (1)")),
        ];
        for (attempt, state, sql) in attempts {
            let mut tx = pool.begin().await.unwrap();
            let error = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *tx).await.expect_err(attempt);
            assert_eq!(
                error.as_database_error().unwrap().code().as_deref(),
                Some(state),
                "{resource:?}, {attempt}: {error}"
            );
        }

        // The record alone restores the rows.
        assert_eq!(deleted.service.world.deleted(resource, &deleted.ids).await.len(), 2);
        sqlx::raw_sql(AssertSqlSafe(whole)).execute(pool).await.unwrap();
        assert!(deleted.service.world.deleted(resource, &deleted.ids).await.is_empty());
    }
}

/// Records the restore of an operation, with another value for one column.
fn record(operation: Uuid, other: &str, value: &str) -> String {
    let of_operation = [
        ("operation_id", "id"),
        ("requester_id", "requester_id"),
        ("customer_id", "customer_id"),
        ("resource", "resource"),
        ("restored_ids", "target_ids"),
    ];
    let values = of_operation.map(|(column, own)| if column == other { value } else { own });
    format!(
        "insert into restoration (id, operation_id, requester_id, customer_id, resource, restored_ids)
         select gen_random_uuid(), {} from operation where id = '{operation}'",
        values.join(", ")
    )
}
