//! Eight clients and two other services at once, on one small tree.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sqlx::AssertSqlSafe;
use tokio::sync::Barrier;
use uuid::Uuid;

use super::calls::{Call, read};
use super::cast::{self, Ids};
use super::deeds::{self, Deed};
use super::model::{Answered, Model};
use super::plan::{ClientStep, CrowdPlan};
use super::serial::{Act, Event, Outcome, order};
use super::tables;
use crate::support::TestService;
use crate::support::service::send;

const UNAVAILABLE: &str = "GLOBAL_1001";

/// A deletion, and the record of a refusal, rest for a moment before they end: so that more meets.
const NAP: &str = "
    create function nap() returns trigger language plpgsql as
      $$ begin perform pg_sleep(0.003 * random()); return new; end $$;
    create trigger nap before insert on operation for each row execute function nap();";

/// What all the histories have in common.
pub struct Crowd {
    service: Arc<TestService>,
    unavailable: AtomicU64,
}

/// An act as it went, before it is known which calls the answers speak of.
struct Witnessed {
    act: Act,
    began: Instant,
    ended: Instant,
    saw: Saw,
}

enum Saw {
    Answer { refusal: Option<&'static str>, request_id: Uuid, replayed: bool },
    Done(bool),
}

impl Crowd {
    pub async fn new() -> Crowd {
        let service = TestService::start().await;
        sqlx::raw_sql(NAP).execute(&service.database.pool).await.unwrap();
        Crowd { service: Arc::new(service), unavailable: AtomicU64::new(0) }
    }

    /// Fails where no serial order explains what was seen.
    pub async fn live_through(&self, plan: &CrowdPlan) -> Result<(), String> {
        let mut ids = Ids::of(&plan.world);
        let mut model = Model::default();
        let deeds = cast::found(&plan.world, &mut model, &mut ids);
        let stranger = ids.next();
        let sql: Vec<String> = deeds.iter().map(Deed::sql).collect();
        let pool = &self.service.database.pool;
        sqlx::raw_sql(AssertSqlSafe(sql.join(";\n"))).execute(pool).await.map_err(|error| error.to_string())?;

        let witnessed = self.at_once(cast_crowd(plan, &model, &mut ids, stranger)).await?;
        let numbers = numbers(&witnessed)?;
        let rows: Vec<Uuid> = tables::Tables::from(&model).rows.into_keys().chain(new_ids(&witnessed)).collect();
        let customers = model.customers.iter().map(|customer| customer.id);
        let requesters: Vec<Uuid> = customers.chain(new_ids(&witnessed)).chain([stranger]).collect();
        let found = tables::read(pool, &rows, &requesters, &numbers).await?;

        let events = witnessed.into_iter().enumerate().map(|(number, seen)| self.event(number, seen, &numbers, &found));
        let events = events.collect::<Result<Vec<Event>, String>>()?;
        match order(&model, &events, &found) {
            Ok(_) => Ok(()),
            Err(longest) => Err(tell(&deeds, &events, &longest, &found)),
        }
    }

    async fn at_once(&self, clients: Vec<Vec<Act>>) -> Result<Vec<Witnessed>, String> {
        let barrier = Arc::new(Barrier::new(clients.len()));
        let clients = clients.into_iter().map(|acts| {
            let (service, barrier) = (Arc::clone(&self.service), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                let mut witnessed = Vec::new();
                for act in acts {
                    witnessed.push(witness(&service, act).await?);
                }
                Ok::<Vec<Witnessed>, String>(witnessed)
            })
        });
        let mut all = Vec::new();
        for witnessed in join_all(clients).await {
            all.extend(witnessed.expect("a client does not panic")?);
        }
        Ok(all)
    }

    /// A call without a good answer has happened if it is recorded, at any time from when it began.
    fn event(
        &self,
        number: usize,
        seen: Witnessed,
        numbers: &BTreeMap<Uuid, usize>,
        found: &tables::Tables,
    ) -> Result<Event, String> {
        let mut ended = seen.ended;
        let outcome = match seen.saw {
            Saw::Done(done) => Outcome::Done(done),
            Saw::Answer { refusal: Some(UNAVAILABLE), .. } => {
                self.unavailable.fetch_add(1, Ordering::Relaxed);
                ended += Duration::from_secs(3600);
                match found.operations.get(&number) {
                    None => Outcome::Never,
                    Some(recorded) => Outcome::Answered(Answered { refusal: recorded.refusal, replay_of: None }),
                }
            }
            Saw::Answer { refusal, replayed: false, .. } => Outcome::Answered(Answered { refusal, replay_of: None }),
            Saw::Answer { refusal, request_id, .. } => {
                let original = numbers.get(&request_id).ok_or(format!("{request_id} is the replay of no call"))?;
                Outcome::Answered(Answered { refusal, replay_of: Some(*original) })
            }
        };
        Ok(Event { act: seen.act, began: seen.began, ended, outcome })
    }

    /// What must hold in the tables, whichever history a row is of.
    pub async fn assert_invariants(&self, histories: u64) {
        let pool = &self.service.database.pool;
        let count = async |sql: &'static str| sqlx::query_scalar::<_, i64>(sql).fetch_one(pool).await.unwrap();
        assert_eq!(
            count(include_str!("../disagreements.sql")).await,
            count(DELETED_ELSEWHERE).await,
            "rows and operations disagree"
        );
        assert_eq!(count(ALLOCATED_AND_DELETED).await, 0, "a deleted product is allocated");
        // Backends report their statistics with a delay.
        tokio::time::sleep(Duration::from_millis(1200)).await;
        let deadlocks = count("select deadlocks from pg_stat_database where datname = current_database()").await;
        assert_eq!(deadlocks, 0, "calls and single statements of other services have deadlocked");
        let unavailable = self.unavailable.load(Ordering::Relaxed);
        assert!(unavailable <= histories * 24 / 100, "{unavailable} calls of {histories} histories were unavailable");
    }
}

const DELETED_ELSEWHERE: &str = "
    select (select count(*) from contact where deleted_at is not null and deleted_by is null)
      + (select count(*) from address where deleted_at is not null and deleted_by is null)
      + (select count(*) from external_params where deleted_at is not null and deleted_by is null)
      + (select count(*) from zone where deleted_at is not null and deleted_by is null)
      + (select count(*) from product where deleted_at is not null and deleted_by is null)";

const ALLOCATED_AND_DELETED: &str = "
    select count(*)
    from product_allocation
    join product on product.id = product_allocation.product_id
    join customer on customer.id = product_allocation.customer_id
    where product.deleted_at is not null
      and product_allocation.detached_at is null
      and customer.deleted_at is null";

/// What each client does, decided before anything happens.
fn cast_crowd(plan: &CrowdPlan, model: &Model, ids: &mut Ids, stranger: Uuid) -> Vec<Vec<Act>> {
    let mut calls: Vec<Call> = Vec::new();
    let mut cast_step = |step: &ClientStep| match step {
        ClientStep::Call(plan) => {
            let mut call = cast::call(plan, model, ids, stranger);
            // Some keys are of one call and its twins alone.
            if call.key.is_none() && plan.row % 2 == 0 {
                call.key = Some(format!("own-{}", calls.len()));
            }
            calls.push(call.clone());
            Some(Act::Call(call))
        }
        ClientStep::Twin(number) => {
            let place = usize::from(*number) % calls.len().max(1);
            calls.get(place).cloned().map(Act::Call)
        }
        ClientStep::Deed(plan) => cast::deed(*plan, model, ids).filter(|deed| is_alone(deed, model)).map(Act::Deed),
    };
    plan.clients.iter().map(|steps| steps.iter().filter_map(&mut cast_step).collect()).collect()
}

/// Two re-parentings can deadlock with each other where one moves what the other moves to. So only the lowest are moved.
fn is_alone(deed: &Deed, model: &Model) -> bool {
    let lowest = |id: Uuid| model.customers.iter().all(|customer| customer.parent != Some(id));
    match deed {
        Deed::ReParent { customer, parent } => lowest(*customer) && !lowest(*parent),
        _ => true,
    }
}

async fn witness(service: &TestService, act: Act) -> Result<Witnessed, String> {
    let began = Instant::now();
    let saw = match &act {
        Act::Call(call) => {
            let answer = send(call.request(service)).await;
            let (refusal, request_id) = read(&answer)?;
            Saw::Answer { refusal, request_id, replayed: answer.header("Idempotency-Replayed") == Some("true") }
        }
        Act::Deed(deed) => Saw::Done(deeds::carry_out(&service.database.pool, deed, true).await?),
    };
    Ok(Witnessed { act, began, ended: Instant::now(), saw })
}

/// The calls by the request ids that are their own.
fn numbers(witnessed: &[Witnessed]) -> Result<BTreeMap<Uuid, usize>, String> {
    let mut numbers = BTreeMap::new();
    for (number, seen) in witnessed.iter().enumerate() {
        if let Saw::Answer { request_id, replayed: false, .. } = seen.saw
            && numbers.insert(request_id, number).is_some()
        {
            return Err(format!("{request_id} is the Request-Id of two calls, and neither is a replay"));
        }
    }
    Ok(numbers)
}

/// Of what was inserted meanwhile.
fn new_ids(witnessed: &[Witnessed]) -> Vec<Uuid> {
    let inserted = witnessed.iter().filter_map(|seen| match &seen.act {
        Act::Deed(Deed::InsertCustomer(customer)) => Some(customer.id),
        Act::Deed(Deed::InsertEntity(entity)) => Some(entity.id),
        Act::Deed(Deed::Insert(row)) => Some(row.id),
        Act::Deed(Deed::Allocate(allocation)) => Some(allocation.id),
        Act::Deed(_) | Act::Call(_) => None,
    });
    inserted.collect()
}

fn tell(deeds: &[Deed], events: &[Event], longest: &[usize], found: &tables::Tables) -> String {
    let start = events.iter().map(|event| event.began).min().expect("something happened");
    let mut numbers: Vec<usize> = (0..events.len()).collect();
    numbers.sort_by_key(|number| events[*number].began);
    let lines = numbers.iter().map(|number| {
        let Event { act, began, ended, outcome } = &events[*number];
        let [began, ended] = [began, ended].map(|time| time.duration_since(start).as_micros());
        format!("{number}: {began} to {ended} µs: {outcome:?} of {act:?}")
    });
    format!(
        "no serial order explains this; the longest beginning of one is {longest:?}\n{deeds:#?}\n{}\n{found:#?}",
        lines.collect::<Vec<_>>().join("\n")
    )
}
