//! Disagreements that the owner of the database plants after disabling its guards.

use customer_deletion::maintenance::verify::verify;
use customer_deletion::resource::Resource;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::dba::maintenance::run;
use crate::support::{TestPool, TestService};

/// A database in which everything agrees. It has a name for each thing that is then changed.
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

    async fn plant(&self, connection: &mut PgConnection, sql: &str) {
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
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
    }

    fn pool(&self) -> &TestPool {
        &self.service.database.pool
    }
}

/// The planted disagreement, the statements for it, and the line that `verify` prints.
const DISAGREEMENTS: [(&str, &str, &str); 27] = [
    (
        "unknown operation",
        "update contact set deleted_by = gen_random_uuid() where id = FIRST",
        "row deleted by an unknown operation (contact): 1",
    ),
    (
        "another resource",
        "update operation set resource = 'address' where id = OPERATION",
        "row deleted by an operation that did not ask for it (contact): 2",
    ),
    (
        "a row that was not asked for",
        "update operation set target_ids = array[FIRST]::uuid[], deleted_rows = 1 where id = OPERATION",
        "row deleted by an operation that did not ask for it (contact): 1",
    ),
    (
        "a failure",
        "update operation set status = 'FAILURE', deleted_rows = 0, error_code = 'AUTH_1010' where id = OPERATION",
        "row deleted by an operation that did not ask for it (contact): 2",
    ),
    (
        "another customer",
        "update operation set customer_id = BELOW where id = OPERATION",
        "row deleted for another customer (contact): 2",
    ),
    ("half a success", "delete from contact where id = FIRST", "success without all its rows (operation): 1"),
    (
        "a row that lives again",
        "update contact set deleted_at = null, deleted_by = null where id = FIRST",
        "success without all its rows (operation): 1",
    ),
    (
        "two times",
        "update contact set deleted_at = deleted_at - interval '1 hour' where id = FIRST",
        "success at more than one time (operation): 1",
    ),
    (
        "restored and deleted",
        "update zone set deleted_at = now(), deleted_by = RESTORED where id = ZONE",
        "restored operation with deleted rows (operation): 1",
    ),
    (
        "restored and deleted as its row says",
        "update zone set deleted_at = now(), deleted_by = RESTORED where id = ZONE",
        "row deleted by an operation that was restored (zone): 1",
    ),
    (
        "restoration of nothing",
        "delete from operation where id = RESTORED",
        "restoration of an unknown operation (restoration): 1",
    ),
    (
        "restoration of other rows",
        "update restoration set restored_ids = array[gen_random_uuid()] where operation_id = RESTORED",
        "restoration of something else than its operation (restoration): 1",
    ),
    (
        "forgotten",
        "insert into operation (id, requester_id, customer_id, resource, target_ids, status)
         values (gen_random_uuid(), CUSTOMER, BELOW, 'contact', array[FIRST]::uuid[], 'OPEN')",
        "open operation that is not queued (operation): 1",
    ),
    (
        "queued for nothing",
        "insert into operation_queue (operation_id, requester_id, customer_id, rank)
         values (gen_random_uuid(), CUSTOMER, BELOW, 0)",
        "queued without an operation (queue): 1",
    ),
    (
        "queued although it ended",
        "insert into operation_queue (operation_id, requester_id, customer_id, rank)
         values (OPERATION, CUSTOMER, BELOW, 0)",
        "ended operation that is queued (operation): 1",
    ),
    (
        "queued for another",
        "insert into operation (id, requester_id, customer_id, resource, target_ids, status)
         values (CUSTOMER, CUSTOMER, BELOW, 'contact', array[FIRST]::uuid[], 'OPEN');
         insert into operation_queue (operation_id, requester_id, customer_id, rank)
         values (CUSTOMER, BELOW, BELOW, 0)",
        "queued for another requester or customer (operation): 1",
    ),
    (
        "deleted and allocated",
        "insert into product_allocation (id, product_id, customer_id) values (gen_random_uuid(), PRODUCT, CUSTOMER)",
        "live allocation of a deleted product (allocation): 1",
    ),
    (
        "allocated to nobody",
        "insert into product_allocation (id, product_id, customer_id, detached_at)
         values (gen_random_uuid(), PRODUCT, gen_random_uuid(), now())",
        "allocation of an unknown product or customer (allocation): 1",
    ),
    (
        "a dead customer that seems live",
        "insert into product_allocation (id, product_id, customer_id, detached_at)
         values (gen_random_uuid(), PRODUCT, BELOW, now()); update customer set deleted_at = now() where id = BELOW",
        "allocation with another state than its customer (allocation): 1",
    ),
    (
        "a cycle",
        "update customer set parent_id = BELOW where id = CUSTOMER",
        "customer that is its own ancestor (customer): 2",
    ),
    (
        "a customer below nobody",
        "update customer set parent_id = gen_random_uuid() where id = BELOW",
        "customer below an unknown customer (customer): 1",
    ),
    (
        "a trigger switched off",
        "alter table contact disable trigger contact_deleted_once",
        "guard that is missing, changed, invalid or switched off (schema): 1\n  CREATE TRIGGER contact_deleted_once",
    ),
    (
        "every trigger switched off",
        "alter table product_allocation disable trigger all",
        "foreign key that is switched off (schema): ",
    ),
    (
        "a constraint that is not validated",
        "alter table contact drop constraint contact_customer_id_fkey;
         alter table contact add constraint contact_customer_id_fkey
           foreign key (customer_id) references customer (id) not valid",
        "guard that is missing, changed, invalid or switched off (schema): 1\n  CONSTRAINT contact_customer_id_fkey",
    ),
    (
        "an index that is not valid",
        "update pg_index set indisvalid = false where indexrelid = 'contact_customer_id_idx'::regclass",
        "guard that is missing, changed, invalid or switched off (schema): 1\n  CREATE INDEX contact_customer_id_idx",
    ),
    (
        "a function that does nothing",
        "create or replace function deleted_until_restored() returns trigger language plpgsql security definer
         set search_path = public, pg_temp as 'begin return null; end'",
        "guard that is missing, changed, invalid or switched off (schema): 1\n  FUNCTION deleted_until_restored()",
    ),
    (
        "a function that believes its caller",
        "alter function deleted_until_restored() reset search_path",
        "guard that is missing, changed, invalid or switched off (schema): 1\n  FUNCTION deleted_until_restored()",
    ),
];

/// Each in a transaction of its own, which is rolled back.
#[tokio::test]
async fn a_planted_disagreement_is_found_by_its_name() {
    let planted = Planted::new().await;
    for (case, sql, line) in DISAGREEMENTS {
        let mut tx = planted.pool().begin().await.unwrap();
        let before = verify(&mut tx, None).await.unwrap();
        assert_eq!(before.total(), 0, "before {case}: {before}");

        planted.plant(&mut tx, sql).await;

        let verification = verify(&mut tx, None).await.unwrap().to_string();
        assert!(verification.contains(line), "{case}: {line}: {verification}");
        tx.rollback().await.unwrap();
    }
}

#[tokio::test]
async fn what_disagrees_is_printed_and_is_status_1() {
    let planted = Planted::new().await;
    let database = &planted.service.database;
    run(database, &["verify"]).await.done();

    let mut tx = planted.pool().begin().await.unwrap();
    planted.plant(&mut tx, "update contact set deleted_by = gen_random_uuid() where id = FIRST").await;
    planted.plant(&mut tx, "alter table contact disable trigger contact_deleted_once").await;
    tx.commit().await.unwrap();

    let said = run(database, &["verify"]).await.refused(&["verify found disagreements: 3 in all"]);
    for line in [
        "row deleted by an unknown operation (contact): 1\n",
        "success without all its rows (operation): 1\n",
        "guard that is missing, changed, invalid or switched off (schema): 1\n  CREATE TRIGGER contact_deleted_once",
    ] {
        assert!(said.out.contains(line), "{line}: {}", said.out);
    }
}
