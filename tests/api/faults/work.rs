//! What the clients of a load ask for, and the rows for it.

use std::collections::VecDeque;
use std::sync::Mutex;

use customer_deletion::resource::Resource;
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::world::Family;

/// How many calls of one resource are prepared at once.
const BATCH: usize = 200;

/// One thing that a client wants done.
#[derive(Clone, Debug)]
pub struct Work {
    pub requester: Uuid,
    pub resource: Resource,
    pub customer: Uuid,
    /// Live rows of the customer, that no other call is about.
    pub ids: Vec<Uuid>,
    /// An id that was never there, listed after the others: all of them are refused.
    pub unknown: Option<Uuid>,
    pub key: Option<String>,
    /// Whether its caller does not wait for the outcome.
    pub later: bool,
}

impl Work {
    /// All the ids that the call lists.
    pub fn listed(&self) -> Vec<Uuid> {
        self.ids.iter().copied().chain(self.unknown).collect()
    }

    /// The documented code of the refusal.
    pub fn refusal(&self) -> Option<&'static str> {
        let code = match self.resource {
            Resource::Contact => "CUSTOMER_1017",
            Resource::Address => "CUSTOMER_1018",
            Resource::ExternalParams => "CUSTOMER_1026",
            Resource::Zone => "CUSTOMER_1030",
            Resource::Product => "CUSTOMER_1047",
        };
        self.unknown.map(|_| code)
    }
}

/// Work that waits for a client.
pub struct Stock {
    pub family: Family,
    waiting: Mutex<VecDeque<Work>>,
}

impl Stock {
    pub fn new(family: Family) -> Stock {
        Stock { family, waiting: Mutex::default() }
    }

    /// Makes rows until there is work for so many calls.
    pub async fn top_up(&self, pool: &PgPool, calls: usize) {
        while self.waiting.lock().unwrap().len() < calls {
            for resource in Resource::ALL {
                self.prepare(pool, resource).await;
            }
        }
    }

    pub fn take(&self) -> Work {
        self.waiting.lock().unwrap().pop_front().expect("there is work for as long as the load lasts")
    }

    async fn prepare(&self, pool: &PgPool, resource: Resource) {
        let longest = if resource == Resource::Product { 1 } else { 3 };
        let customer = self.family.in_scope(resource);
        let ids: Vec<Uuid> = sqlx::query_scalar(rows_sql(resource))
            .bind(customer)
            .bind((BATCH * longest) as i64)
            .fetch_all(pool)
            .await
            .expect("rows are prepared while the database is there");
        let prepared = ids.chunks(longest).enumerate().map(|(number, ids)| work(self.family, resource, ids, number));
        let prepared: Vec<Work> = prepared.collect();
        let mut waiting = self.waiting.lock().unwrap();
        // Shuffled in, so that neighbouring calls are about different resources.
        for (number, work) in prepared.into_iter().enumerate() {
            let place = (number * 5).min(waiting.len());
            waiting.insert(place, work);
        }
    }
}

/// Every fourth call has no key, every fifth one's caller does not wait, every seventh one is to be refused, and the lists have
/// different lengths.
fn work(family: Family, resource: Resource, ids: &[Uuid], number: usize) -> Work {
    let mut ids = ids[..1 + number % ids.len()].to_vec();
    let unknown = number.is_multiple_of(7).then(Uuid::now_v7);
    if unknown.is_some() && resource == Resource::Product {
        ids.clear();
    }
    let key = (!number.is_multiple_of(4)).then(|| Uuid::now_v7().to_string());
    let later = number % 5 == 1;
    Work { requester: family.requester, customer: family.in_scope(resource), resource, ids, unknown, key, later }
}

/// Makes $2 rows of the customer $1.
fn rows_sql(resource: Resource) -> &'static str {
    match resource {
        Resource::Contact => {
            "insert into contact (id, customer_id, email, mobile)
             select gen_random_uuid(), $1, 'a@example.com', '+491510000' from generate_series(1, $2) returning id"
        }
        Resource::Address => {
            "insert into address (id, customer_id, line_1, city, country_code)
             select gen_random_uuid(), $1, '1', 'Bern', 'CHE' from generate_series(1, $2) returning id"
        }
        Resource::ExternalParams => {
            "with entity as (
               insert into subscriber (id, customer_id, name) values (gen_random_uuid(), $1, 'A subscriber') returning id
             )
             insert into external_params (id, customer_id, subscriber_id, name, value)
             select gen_random_uuid(), $1, entity.id, 'a', 'b' from entity, generate_series(1, $2) returning id"
        }
        Resource::Zone => {
            "with fresh as materialized (select gen_random_uuid() as id from generate_series(1, $2))
             insert into zone (id, customer_id, name, country_code)
             select id, $1, id::text, 'DEU' from fresh returning id"
        }
        Resource::Product => {
            "with fresh as materialized (select gen_random_uuid() as id from generate_series(1, $2))
             insert into product (id, customer_id, name) select id, $1, id::text from fresh returning id"
        }
    }
}
