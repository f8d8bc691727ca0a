//! Disagreements, planted by whoever owns the database and switches its guards off.

use customer_deletion::resource::Resource;
use rstest::rstest;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::dba::maintenance::run;
use crate::support::{TestPool, TestService};

/// A database in which everything agrees, with a name for each thing that is then changed.
struct Planted {
    service: TestService,
    /// Two contacts that one operation deleted.
    contacts: Vec<Uuid>,
    operation: Uuid,
    /// A zone that was deleted and restored.
    zone: Uuid,
    restored: Uuid,
    product: Uuid,
    customer: Uuid,
    below: Uuid,
}

impl Planted {
    async fn new() -> Planted {
        let service = TestService::start_with(|settings| settings.queue.workers = 0).await;
        let world = &service.world;
        let family = world.family().await;
        let mut contacts = world.rows(Resource::Contact, family.sub_customer, 2).await;
        contacts.sort();
        let (zone, product) = (world.zone(family.requester).await, world.product(family.requester).await);
        let (requester, contact) = (family.requester, Resource::Contact);
        let operation = service.delete_list(requester, family.sub_customer, contact, &contacts).await.assert_deleted();
        let restored = service.delete_one(requester, requester, Resource::Zone, zone).await.assert_deleted();
        run(&service.database, &["restore", "--operation", &restored.to_string()]).await.done();
        service.delete_one(requester, requester, Resource::Product, product).await.assert_deleted();
        let (customer, below) = (family.sub_customer, family.grandchild);
        Planted { service, contacts, operation, zone, restored, product, customer, below }
    }

    async fn plant(&self, sql: &str) {
        let names = [
            ("FIRST", self.contacts[0]),
            ("SECOND", self.contacts[1]),
            ("OPERATION", self.operation),
            ("ZONE", self.zone),
            ("RESTORED", self.restored),
            ("PRODUCT", self.product),
            ("CUSTOMER", self.customer),
            ("BELOW", self.below),
        ];
        let sql = names.into_iter().fold(sql.to_owned(), |sql, (name, id)| sql.replace(name, &format!("'{id}'")));
        let sql = format!("set session_replication_role = replica; {sql}; set session_replication_role = origin");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.pool()).await.unwrap();
    }

    fn pool(&self) -> &TestPool {
        &self.service.database.pool
    }
}

#[rstest]
#[case::unknown_operation(
    "update contact set deleted_by = gen_random_uuid() where id = FIRST",
    "row deleted by an unknown operation (contact): 1"
)]
#[case::another_resource(
    "update operation set resource = 'address' where id = OPERATION",
    "row deleted by an operation that did not ask for it (contact): 2"
)]
#[case::a_row_that_was_not_asked_for(
    "update operation set target_ids = array[FIRST]::uuid[], deleted_rows = 1 where id = OPERATION",
    "row deleted by an operation that did not ask for it (contact): 1"
)]
#[case::a_failure(
    "update operation set status = 'FAILURE', deleted_rows = 0, error_code = 'AUTH_1010' where id = OPERATION",
    "row deleted by an operation that did not ask for it (contact): 2"
)]
#[case::another_customer(
    "update operation set customer_id = BELOW where id = OPERATION",
    "row deleted for another customer (contact): 2"
)]
#[case::half_a_success("delete from contact where id = FIRST", "success without all its rows (operation): 1")]
#[case::a_row_that_lives_again(
    "update contact set deleted_at = null, deleted_by = null where id = FIRST",
    "success without all its rows (operation): 1"
)]
#[case::two_times(
    "update contact set deleted_at = deleted_at - interval '1 hour' where id = FIRST",
    "success at more than one time (operation): 1"
)]
#[case::restored_and_deleted(
    "update zone set deleted_at = now(), deleted_by = RESTORED where id = ZONE",
    "restored operation with deleted rows (operation): 1"
)]
#[case::restored_and_deleted_as_its_row_says(
    "update zone set deleted_at = now(), deleted_by = RESTORED where id = ZONE",
    "row deleted by an operation that was restored (zone): 1"
)]
#[case::restoration_of_nothing(
    "delete from operation where id = RESTORED",
    "restoration of an unknown operation (restoration): 1"
)]
#[case::restoration_of_other_rows(
    "update restoration set restored_ids = array[gen_random_uuid()] where operation_id = RESTORED",
    "restoration of something else than its operation (restoration): 1"
)]
#[case::forgotten(
    "insert into operation (id, requester_id, customer_id, resource, target_ids, status)
     values (gen_random_uuid(), CUSTOMER, BELOW, 'contact', array[FIRST]::uuid[], 'OPEN')",
    "open operation that is not queued (operation): 1"
)]
#[case::queued_for_nothing(
    "insert into operation_queue (operation_id, requester_id, customer_id, rank)
     values (gen_random_uuid(), CUSTOMER, BELOW, 0)",
    "queued without an operation (queue): 1"
)]
#[case::queued_although_it_ended(
    "insert into operation_queue (operation_id, requester_id, customer_id, rank) values (OPERATION, CUSTOMER, BELOW, 0)",
    "ended operation that is queued (operation): 1"
)]
#[case::queued_for_another(
    "insert into operation (id, requester_id, customer_id, resource, target_ids, status)
     values (CUSTOMER, CUSTOMER, BELOW, 'contact', array[FIRST]::uuid[], 'OPEN');
     insert into operation_queue (operation_id, requester_id, customer_id, rank) values (CUSTOMER, BELOW, BELOW, 0)",
    "queued for another requester or customer (operation): 1"
)]
#[case::deleted_and_allocated(
    "insert into product_allocation (id, product_id, customer_id) values (gen_random_uuid(), PRODUCT, CUSTOMER)",
    "live allocation of a deleted product (allocation): 1"
)]
#[case::allocated_to_nobody(
    "insert into product_allocation (id, product_id, customer_id, detached_at)
     values (gen_random_uuid(), PRODUCT, gen_random_uuid(), now())",
    "allocation of an unknown product or customer (allocation): 1"
)]
#[case::a_dead_customer_that_seems_live(
    "insert into product_allocation (id, product_id, customer_id, detached_at)
     values (gen_random_uuid(), PRODUCT, BELOW, now()); update customer set deleted_at = now() where id = BELOW",
    "allocation with another state than its customer (allocation): 1"
)]
#[case::a_cycle(
    "update customer set parent_id = BELOW where id = CUSTOMER",
    "customer that is its own ancestor (customer): 2"
)]
#[case::a_customer_below_nobody(
    "update customer set parent_id = gen_random_uuid() where id = BELOW",
    "customer below an unknown customer (customer): 1"
)]
#[case::a_trigger_switched_off(
    "alter table contact disable trigger contact_deleted_once",
    "guard that is missing, changed, invalid or switched off (schema): 1\n  CREATE TRIGGER contact_deleted_once"
)]
#[case::every_trigger_switched_off(
    "alter table product_allocation disable trigger all",
    "foreign key that is switched off (schema): "
)]
#[case::a_constraint_that_is_not_validated(
    "alter table contact drop constraint contact_customer_id_fkey;
     alter table contact add constraint contact_customer_id_fkey foreign key (customer_id) references customer (id) not valid",
    "guard that is missing, changed, invalid or switched off (schema): 1\n  CONSTRAINT contact_customer_id_fkey"
)]
#[case::an_index_that_is_not_valid(
    "update pg_index set indisvalid = false where indexrelid = 'contact_customer_id_idx'::regclass",
    "guard that is missing, changed, invalid or switched off (schema): 1\n  CREATE INDEX contact_customer_id_idx"
)]
#[case::a_function_that_does_nothing(
    "create or replace function deleted_until_restored() returns trigger language plpgsql security definer
     set search_path = public, pg_temp as 'begin return null; end'",
    "guard that is missing, changed, invalid or switched off (schema): 1\n  FUNCTION deleted_until_restored()"
)]
#[case::a_function_that_believes_its_caller(
    "alter function deleted_until_restored() reset search_path",
    "guard that is missing, changed, invalid or switched off (schema): 1\n  FUNCTION deleted_until_restored()"
)]
#[tokio::test]
async fn a_planted_disagreement_is_found_by_its_name(#[case] sql: &str, #[case] line: &str) {
    let planted = Planted::new().await;
    run(&planted.service.database, &["verify"]).await.done();

    planted.plant(sql).await;

    let said = run(&planted.service.database, &["verify"]).await;
    assert_eq!(said.status, Some(1), "{said:?}");
    assert!(said.out.contains(line), "{line}: {}", said.out);
    assert!(said.err.contains("rows and operations disagree: "), "{said:?}");
}
