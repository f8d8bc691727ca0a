//! Eight clients and three other services at once, on one small tree.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sqlx::AssertSqlSafe;
use time::OffsetDateTime;
use tokio::sync::Barrier;
use uuid::Uuid;

use super::alone::{end_of, is_cancelled};
use super::calls::{ACTOR, Call, read};
use super::cast::{self, Ids};
use super::contract::CANCELLED;
use super::deeds::{self, CarriedOut, Deed};
use super::model::{Answered, Customer, Model};
use super::plan::{ClientStep, CrowdPlan, DeedKind, DeedPlan};
use super::serial::{Act, Event, Outcome, order};
use super::tables;
use crate::support::service::{send, validating};
use crate::support::{TestPool, TestService};

const UNAVAILABLE: &str = "GLOBAL_1001";

/// A deletion, and the record of a refusal, sleep for a moment before they end, so that more of them overlap. Only the commit
/// follows, and the time when it began is recorded.
const NAP: &str = "
    create table about_to_commit (operation_id uuid primary key, at timestamptz not null);
    grant select, insert, update on about_to_commit to public;
    create function nap() returns trigger language plpgsql as $$
      begin
        perform pg_sleep(0.005 * random());
        insert into about_to_commit values (new.id, clock_timestamp())
          on conflict (operation_id) do update set at = excluded.at;
        return new;
      end
    $$;
    create trigger nap before insert or update of status on operation for each row execute function nap();";

/// The parts that all histories share.
pub struct Crowd {
    service: Arc<TestService>,
    unavailable: AtomicU64,
}

/// A finished act, before the calls that the answers are about are known.
struct Witnessed {
    act: Act,
    began: Instant,
    ended: Instant,
    saw: Saw,
}

enum Saw {
    Answer { refusal: Option<&'static str>, request_id: Uuid, replayed: bool },
    Deed(CarriedOut),
}

/// The clock of the server, in terms of the clock of this process.
struct Clock {
    here: Instant,
    there: OffsetDateTime,
}

impl Clock {
    async fn read(pool: &TestPool) -> Result<Clock, String> {
        let here = Instant::now();
        let there = sqlx::query_scalar("select clock_timestamp()").fetch_one(pool).await;
        Ok(Clock { here, there: there.map_err(|error| error.to_string())? })
    }

    /// The local time of a time of the server. It is never later than the real one.
    fn here(&self, there: OffsetDateTime) -> Instant {
        self.here + Duration::try_from(there - self.there).unwrap_or_default()
    }
}

impl Crowd {
    pub async fn new() -> Crowd {
        let service = TestService::start_with(|settings| {
            settings.requester.header.actor_name = Some(ACTOR.to_owned());
            settings.queue.workers = 2;
        })
        .await;
        sqlx::raw_sql(NAP).execute(&service.database.pool).await.unwrap();
        Crowd { service: Arc::new(service), unavailable: AtomicU64::new(0) }
    }

    /// Fails if no serial order explains the answers and the tables.
    pub async fn live_through(&self, plan: &CrowdPlan) -> Result<(), String> {
        let mut ids = Ids::of(&plan.world);
        let mut model = Model::default();
        let deeds = cast::found(&plan.world, &mut model, &mut ids);
        let stranger = ids.next();
        let sql: Vec<String> = deeds.iter().map(Deed::sql).collect();
        let pool = &self.service.database.pool;
        sqlx::raw_sql(AssertSqlSafe(sql.join(";\n"))).execute(pool).await.map_err(|error| error.to_string())?;

        let clock = Clock::read(pool).await?;
        let witnessed = self.at_once(cast_crowd(plan, &model, &mut ids, stranger)).await?;
        let numbers = numbers(&witnessed)?;
        let rows: Vec<Uuid> = tables::Tables::from(&model).rows.into_keys().chain(new_ids(&witnessed)).collect();
        let customers = model.customers.iter().map(|customer| customer.id);
        let requesters: Vec<Uuid> = customers.chain(new_ids(&witnessed)).chain([stranger]).collect();
        let found = tables::read(pool, &rows, &requesters, &numbers).await?;

        let events = witnessed.into_iter().enumerate().map(|(number, seen)| self.event(number, seen, &numbers, &found));
        let mut events = events.collect::<Result<Vec<Event>, String>>()?;
        self.note_commits(&mut events, &numbers, &clock).await?;
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

    /// A call without a complete answer has happened if it is recorded, at any time after it began.
    fn event(
        &self,
        number: usize,
        seen: Witnessed,
        numbers: &BTreeMap<Uuid, usize>,
        found: &tables::Tables,
    ) -> Result<Event, String> {
        let mut ended = seen.ended;
        let outcome = match seen.saw {
            Saw::Deed(CarriedOut { done, .. }) => Outcome::Done(done),
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
        let began = match seen.saw {
            Saw::Deed(CarriedOut { done: true, about_to_commit }) => about_to_commit,
            _ => seen.began,
        };
        Ok(Event { act: seen.act, began, ended, outcome })
    }

    /// A change takes effect at its commit. So a deletion must be allowed at its commit, not at its request.
    async fn note_commits(
        &self,
        events: &mut [Event],
        numbers: &BTreeMap<Uuid, usize>,
        clock: &Clock,
    ) -> Result<(), String> {
        let ids: Vec<Uuid> = numbers.keys().copied().collect();
        let sql = "select operation_id, at from about_to_commit join operation on operation.id = operation_id
             where operation.status = 'SUCCESS' and operation.id = any($1)";
        let commits: Vec<(Uuid, OffsetDateTime)> = sqlx::query_as(sql)
            .bind(ids)
            .fetch_all(&self.service.database.pool)
            .await
            .map_err(|error| error.to_string())?;
        for (id, at) in commits {
            let event = &mut events[numbers[&id]];
            event.began = event.began.max(clock.here(at));
        }
        Ok(())
    }

    /// Asserts the rules that all rows must follow, of whichever history they are.
    pub async fn assert_invariants(&self, histories: u64) {
        let pool = &self.service.database.pool;
        let count = async |sql: &'static str| sqlx::query_scalar::<_, i64>(sql).fetch_one(pool).await.unwrap();
        crate::support::audit::assert_agreement_beside_others(pool).await;
        assert_eq!(count(ALLOCATED_AND_DELETED).await, 0, "a deleted product is allocated");
        let deadlocks = crate::support::audit::deadlocks(pool).await;
        assert_eq!(deadlocks, 0, "calls and single statements of other services have deadlocked");
        let unavailable = self.unavailable.load(Ordering::Relaxed);
        // One stall can cost each of the eight clients a call.
        assert!(
            unavailable <= (histories * 24 / 100).max(8),
            "{unavailable} calls of {histories} histories were unavailable"
        );
    }
}

const ALLOCATED_AND_DELETED: &str = "
    select count(*)
    from product_allocation
    join product on product.id = product_allocation.product_id
    join customer on customer.id = product_allocation.customer_id
    where product.deleted_at is not null
      and product_allocation.detached_at is null
      and customer.deleted_at is null";

/// The acts of each client, all decided before the first act.
fn cast_crowd(plan: &CrowdPlan, model: &Model, ids: &mut Ids, stranger: Uuid) -> Vec<Vec<Act>> {
    let mut calls: Vec<Call> = Vec::new();
    let mut cast_step = |step: &ClientStep| match step {
        ClientStep::Call(plan) => {
            let mut call = cast::call(plan, model, ids, stranger);
            // Some keys are used only by one call and its twins.
            if call.key.is_none() && plan.row % 2 == 0 {
                call.key = Some(format!("own-{}", calls.len()));
            }
            // It has no key, because a key would be used at acceptance, and not at execution.
            call.later = plan.row % 4 == 1 && call.key.is_none() && cast::may_be_later(plan.form);
            call.cancel = plan.word.is_multiple_of(2);
            calls.push(call.clone());
            Some(Act::Call(call))
        }
        ClientStep::Twin(number) => {
            let place = usize::from(*number) % calls.len().max(1);
            calls.get(place).cloned().map(Act::Call)
        }
        ClientStep::Validation(number) => {
            let place = usize::from(*number) % calls.len().max(1);
            // Without the key: a validation under a key that is being refused may get an answer that is never recorded, and no
            // serial order explains it.
            calls.get(place).cloned().map(|call| Act::Validation(Call { key: None, later: false, ..call }))
        }
        ClientStep::Deed(plan) if plan.kind == DeedKind::ReParent => Some(Act::Deed(re_parent(*plan, model))),
        ClientStep::Deed(plan) => cast::deed(*plan, model, ids).map(Act::Deed),
    };
    plan.clients.iter().map(|steps| steps.iter().filter_map(&mut cast_step).collect()).collect()
}

/// Two re-parentings can deadlock if each moves the customer that the other moves to. So only the lowest customers are moved.
fn re_parent(plan: DeedPlan, model: &Model) -> Deed {
    let is_parent = |customer: &&Customer| model.customers.iter().any(|other| other.parent == Some(customer.id));
    let (parents, lowest): (Vec<&Customer>, Vec<&Customer>) = model.customers.iter().partition(is_parent);
    let nth = |customers: &[&Customer], number: u8| customers[usize::from(number) % customers.len()].id;
    Deed::ReParent { customer: nth(&lowest, plan.one), parent: nth(&parents, plan.other) }
}

async fn witness(service: &TestService, act: Act) -> Result<Witnessed, String> {
    let began = Instant::now();
    let saw = match &act {
        Act::Call(call) | Act::Validation(call) => {
            let request = call.request(service);
            let is_call = matches!(act, Act::Call(_));
            let answer = send(if is_call { request } else { validating(request) }).await;
            let (mut refusal, request_id) = read(&answer)?;
            if answer.status == 202 {
                let is_cancelled = call.cancel && is_cancelled(service, call, request_id).await?;
                refusal = end_of(service, call, request_id).await?;
                if is_cancelled != (refusal == Some(CANCELLED)) {
                    return Err(format!("cancelled: {is_cancelled}, but ended with {refusal:?}"));
                }
            }
            Saw::Answer { refusal, request_id, replayed: answer.header("Idempotency-Replayed") == Some("true") }
        }
        Act::Deed(deed) => Saw::Deed(deeds::carry_out(&service.database.pool, deed, true).await?),
    };
    Ok(Witnessed { act, began, ended: Instant::now(), saw })
}

/// The calls by their own request ids.
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

/// The ids of the rows that were inserted during the history.
fn new_ids(witnessed: &[Witnessed]) -> Vec<Uuid> {
    let inserted = witnessed.iter().filter_map(|seen| match &seen.act {
        Act::Deed(Deed::InsertCustomer(customer)) => Some(customer.id),
        Act::Deed(Deed::InsertEntity(entity)) => Some(entity.id),
        Act::Deed(Deed::Insert(row)) => Some(row.id),
        Act::Deed(Deed::Allocate(allocation)) => Some(allocation.id),
        Act::Deed(_) | Act::Call(_) | Act::Validation(_) => None,
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
