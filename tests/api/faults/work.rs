//! The calls of the clients of a load, and the rows for them.

use std::collections::VecDeque;
use std::sync::Mutex;

use customer_deletion::resource::Resource;
use uuid::Uuid;

use crate::support::TestPool;
use crate::support::resources::{contract, most};
use crate::support::world::Family;

/// The number of calls of one resource that are prepared at once.
const BATCH: usize = 200;

/// One intended call of a client.
#[derive(Clone, Debug)]
pub struct Work {
    pub requester: Uuid,
    pub resource: Resource,
    pub customer: Uuid,
    /// Live rows of the customer. No other call is about them.
    pub ids: Vec<Uuid>,
    /// An unknown id, listed after the others. It makes the call refused.
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
        self.unknown.map(|_| contract(self.resource).unknown.0)
    }
}

/// Prepared work that waits for a client.
pub struct Stock {
    pub family: Family,
    waiting: Mutex<VecDeque<Work>>,
}

impl Stock {
    pub fn new(family: Family) -> Stock {
        Stock { family, waiting: Mutex::default() }
    }

    /// Makes rows until there is work for this many calls.
    pub async fn top_up(&self, pool: &TestPool, calls: usize) {
        while self.waiting.lock().unwrap().len() < calls {
            for resource in Resource::ALL {
                self.prepare(pool, resource).await;
            }
        }
    }

    pub fn take(&self) -> Work {
        self.waiting.lock().unwrap().pop_front().expect("there is work for as long as the load lasts")
    }

    async fn prepare(&self, pool: &TestPool, resource: Resource) {
        let longest = most(3, resource);
        let customer = self.family.in_scope(resource);
        let ids: Vec<Uuid> = (0..BATCH * longest).map(|_| Uuid::now_v7()).collect();
        let insert = sqlx::query(contract(resource).insert).bind(&ids).bind(customer).execute(pool);
        insert.await.expect("rows are prepared while the database is there");
        let prepared = ids.chunks(longest).enumerate().map(|(number, ids)| work(self.family, resource, ids, number));
        let prepared: Vec<Work> = prepared.collect();
        let mut waiting = self.waiting.lock().unwrap();
        // Inserted at intervals, so that neighbouring calls are about different resources.
        for (number, work) in prepared.into_iter().enumerate() {
            let place = (number * 5).min(waiting.len());
            waiting.insert(place, work);
        }
    }
}

/// Every fourth call has no key, every fifth caller does not wait, every seventh call is refused, and the lists have different
/// lengths.
fn work(family: Family, resource: Resource, ids: &[Uuid], number: usize) -> Work {
    let mut ids = ids[..1 + number % ids.len()].to_vec();
    let unknown = number.is_multiple_of(7).then(Uuid::now_v7);
    if unknown.is_some() && !contract(resource).takes_list {
        ids.clear();
    }
    let key = (!number.is_multiple_of(4)).then(|| Uuid::now_v7().to_string());
    let later = number % 5 == 1;
    Work { requester: family.requester, customer: family.in_scope(resource), resource, ids, unknown, key, later }
}
