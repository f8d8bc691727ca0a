//! Customers and their rows, written straight into the tables, as other services do.

use std::sync::{Arc, Mutex};

use customer_deletion::resource::Resource;
use sqlx::AssertSqlSafe;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::TestPool;
use super::resources::{contract, table};

/// The tables of a test's own database, or the test's own rows in a shared database.
#[derive(Clone)]
pub struct World {
    pool: TestPool,
    /// The customers of this test. `None` if the database has no others.
    customers: Option<Arc<Mutex<Vec<Uuid>>>>,
    /// See [`World::fingerprint`].
    hash_of_everything: Arc<OnceCell<String>>,
}

/// A customer, one above, two below, and one beside.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    pub parent: Uuid,
    pub requester: Uuid,
    pub sub_customer: Uuid,
    pub second_sub_customer: Uuid,
    pub grandchild: Uuid,
    /// Another child of the parent.
    pub sibling: Uuid,
}

impl Family {
    /// The customer that a deletion of the resource must name.
    pub fn in_scope(&self, resource: Resource) -> Uuid {
        match contract(resource).depth {
            0 => self.requester,
            _ => self.sub_customer,
        }
    }
}

impl World {
    pub fn new(pool: TestPool) -> World {
        World { pool, customers: None, hash_of_everything: Arc::default() }
    }

    /// The world of a test in a database that other tests use at the same time.
    pub fn among_others(pool: TestPool) -> World {
        World { pool, customers: Some(Arc::default()), hash_of_everything: Arc::default() }
    }

    pub async fn family(&self) -> Family {
        let family = Family {
            parent: Uuid::now_v7(),
            requester: Uuid::now_v7(),
            sub_customer: Uuid::now_v7(),
            second_sub_customer: Uuid::now_v7(),
            grandchild: Uuid::now_v7(),
            sibling: Uuid::now_v7(),
        };
        let below = [
            (family.parent, None),
            (family.requester, Some(family.parent)),
            (family.sub_customer, Some(family.requester)),
            (family.second_sub_customer, Some(family.requester)),
            (family.grandchild, Some(family.sub_customer)),
            (family.sibling, Some(family.parent)),
        ];
        self.insert_customers(&below).await;
        family
    }

    pub async fn customer(&self, parent: Option<Uuid>) -> Uuid {
        let id = Uuid::now_v7();
        self.insert_customers(&[(id, parent)]).await;
        id
    }

    /// Inserts customers, each with its parent, which comes before it.
    async fn insert_customers(&self, customers: &[(Uuid, Option<Uuid>)]) {
        let (ids, parents): (Vec<Uuid>, Vec<Option<Uuid>>) = customers.iter().copied().unzip();
        if let Some(own) = &self.customers {
            own.lock().unwrap().extend(&ids);
        }
        let sql = "insert into customer (id, parent_id, name)
            select id, parent_id, 'A customer' from unnest($1::uuid[], $2::uuid[]) as new (id, parent_id)";
        sqlx::query(sql).bind(ids).bind(parents).execute(&self.pool).await.unwrap();
    }

    /// A row that the customer may delete, if it is the one that a deletion of the resource must name.
    pub async fn row(&self, resource: Resource, customer: Uuid) -> Uuid {
        self.rows(resource, customer, 1).await[0]
    }

    /// Rows in the order of their ids.
    pub async fn rows(&self, resource: Resource, customer: Uuid, count: usize) -> Vec<Uuid> {
        let ids: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
        self.insert_rows(resource, customer, &ids).await;
        ids
    }

    /// Inserts rows in the order of the list.
    pub async fn insert_rows(&self, resource: Resource, customer: Uuid, ids: &[Uuid]) {
        let insert = contract(resource).insert;
        sqlx::query(insert).bind(ids).bind(customer).execute(&self.pool).await.unwrap();
    }

    pub async fn contact(&self, customer: Uuid) -> Uuid {
        self.row(Resource::Contact, customer).await
    }

    pub async fn address(&self, customer: Uuid) -> Uuid {
        self.row(Resource::Address, customer).await
    }

    pub async fn subscriber(&self, customer: Uuid) -> Uuid {
        let sql = "insert into subscriber (id, customer_id, name) values ($1, $2, 'A subscriber')";
        self.insert(sql, Uuid::now_v7(), Some(customer)).await
    }

    pub async fn sell_plan(&self, customer: Uuid) -> Uuid {
        let sql = "insert into sell_plan (id, customer_id, name) values ($1, $2, 'A sell plan')";
        self.insert(sql, Uuid::now_v7(), Some(customer)).await
    }

    /// External params of a customer, set on the entity that the column refers to.
    pub async fn external_params(&self, customer: Uuid, column: &'static str, entity: Uuid) -> Uuid {
        let id = Uuid::now_v7();
        let sql = format!(
            "insert into external_params (id, customer_id, {column}, name, value) values ($1, $2, $3, 'a', 'b')"
        );
        sqlx::query(AssertSqlSafe(sql)).bind(id).bind(customer).bind(entity).execute(&self.pool).await.unwrap();
        id
    }

    pub async fn zone(&self, customer: Uuid) -> Uuid {
        self.row(Resource::Zone, customer).await
    }

    pub async fn product(&self, customer: Uuid) -> Uuid {
        self.row(Resource::Product, customer).await
    }

    pub async fn allocation(&self, product: Uuid, customer: Uuid) -> Uuid {
        self.reference(Resource::Product, product, customer).await
    }

    /// A live row of the customer that refers to the row of the resource and forbids its deletion.
    pub async fn reference(&self, resource: Resource, row: Uuid, customer: Uuid) -> Uuid {
        let id = Uuid::now_v7();
        let insert = contract(resource).reference.expect("rows refer to the resource").insert;
        sqlx::query(insert).bind(id).bind(row).bind(customer).execute(&self.pool).await.unwrap();
        id
    }

    async fn insert(&self, sql: &'static str, id: Uuid, other: Option<Uuid>) -> Uuid {
        sqlx::query(sql).bind(id).bind(other).execute(&self.pool).await.unwrap();
        id
    }

    /// Runs a statement of another service. Its parameter is the id.
    pub async fn execute(&self, sql: &'static str, id: Uuid) {
        sqlx::query(sql).bind(id).execute(&self.pool).await.unwrap();
    }

    /// Soft-deletes a customer, as another service does.
    pub async fn kill_customer(&self, id: Uuid) {
        self.execute("update customer set deleted_at = now() where id = $1", id).await;
    }

    /// Returns the ids whose rows are deleted.
    pub async fn deleted(&self, resource: Resource, ids: &[Uuid]) -> Vec<Uuid> {
        let table = table(resource);
        let sql = format!("select id from {table} where id = any($1) and deleted_at is not null order by id");
        sqlx::query_scalar(AssertSqlSafe(sql)).bind(ids).fetch_all(&self.pool).await.unwrap()
    }

    /// The customers that this test may read. `None` stands for all.
    fn own_customers(&self) -> Option<Vec<Uuid>> {
        self.customers.as_ref().map(|customers| customers.lock().unwrap().clone())
    }

    /// A hash of every table with soft deletion. A refusal must not change it.
    pub async fn fingerprint(&self) -> String {
        // Every database that tests share has the same tables.
        static HASH_OF_OWN_ROWS: OnceCell<String> = OnceCell::const_new();
        let hash = if self.customers.is_some() { &HASH_OF_OWN_ROWS } else { &*self.hash_of_everything };
        let sql = hash.get_or_init(|| self.write_hash()).await;
        let mut fingerprint = sqlx::query_scalar(AssertSqlSafe(sql.clone()));
        if let Some(customers) = self.own_customers() {
            fingerprint = fingerprint.bind(customers);
        }
        let fingerprint: Option<String> = fingerprint.fetch_one(&self.pool).await.unwrap();
        fingerprint.unwrap_or_default()
    }

    /// The statement for it, which asks PostgreSQL for the tables.
    async fn write_hash(&self) -> String {
        let tables: Vec<(String, bool)> = sqlx::query_as(
            "select relname::text, bool_or(attname = 'customer_id')
             from pg_class
             join pg_attribute on attrelid = pg_class.oid
             where relnamespace = current_schema::regnamespace and relkind = 'r'
             group by relname
             having bool_or(attname in ('deleted_at', 'detached_at'))",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap();
        let rows: Vec<String> = tables
            .iter()
            .map(|(table, is_of_a_customer)| {
                let customer = if *is_of_a_customer { "customer_id" } else { "id" };
                // No condition that is true for all rows: PostgreSQL would not use an index.
                let own = if self.customers.is_some() { format!(" where {customer} = any($1)") } else { String::new() };
                format!("select {table}::text as line from {table}{own}")
            })
            .collect();
        let rows = rows.join(" union all ");
        format!("select md5(string_agg(line, e'\\n' order by line)) from ({rows}) as everything")
    }

    pub async fn operations(&self) -> i64 {
        let operations = match self.own_customers() {
            None => sqlx::query_scalar("select count(*) from operation"),
            Some(customers) => {
                let own = "select count(*) from operation where requester_id = any($1) or customer_id = any($1)";
                sqlx::query_scalar(own).bind(customers)
            }
        };
        operations.fetch_one(&self.pool).await.unwrap()
    }
}
