//! Histories whose calls and deeds run one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use tokio::time::sleep;
use uuid::Uuid;

use super::calls::{Call, Form, PROBLEM, Wrong, read};
use super::cast::{self, Ids};
use super::contract::{CANCELLED, row_of};
use super::deeds::{self, Deed};
use super::model::{Answered, Fate, Model, Operation};
use super::plan::{AskPlan, Asking, Beforehand, ListPlan, Plan, Step, Who};
use super::tables::{self, Tables};
use crate::support::TestService;
use crate::support::service::{self, Answer, send, validating};

/// The longest time that an accepted call may take on a busy machine, and the pause before its status is asked for again.
const LONGEST_OPERATION: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(3);

/// The number of times that each answer was seen.
pub type Tally = Mutex<BTreeMap<String, usize>>;

/// Runs the plan. Fails with all events so far if the service and the model differ.
pub async fn live_through(service: &TestService, plan: &Plan, tally: &Tally) -> Result<(), String> {
    let mut history = History::begin(service, plan).await?;
    for step in &plan.steps {
        if let Err(error) = history.take(step, tally).await {
            return Err(history.tell(&error));
        }
    }
    history.end().await.map_err(|error| history.tell(&error))
}

struct History<'a> {
    service: &'a TestService,
    model: Model,
    ids: Ids,
    /// An id of no customer and no row.
    stranger: Uuid,
    calls: Vec<Call>,
    /// For each call, the number of the call whose operation its answer is about.
    speaks_of: Vec<usize>,
    numbers: BTreeMap<Uuid, usize>,
    lines: Vec<String>,
}

impl History<'_> {
    async fn begin<'a>(service: &'a TestService, plan: &Plan) -> Result<History<'a>, String> {
        let mut ids = Ids::of(&plan.world);
        let mut model = Model::default();
        let deeds = cast::found(&plan.world, &mut model, &mut ids);
        let sql: Vec<String> = deeds.iter().map(Deed::sql).collect();
        let pool = &service.database.pool;
        sqlx::raw_sql(AssertSqlSafe(sql.join(";\n"))).execute(pool).await.map_err(|error| error.to_string())?;
        Ok(History {
            service,
            model,
            stranger: ids.next(),
            ids,
            calls: Vec::new(),
            speaks_of: Vec::new(),
            numbers: BTreeMap::new(),
            lines: deeds.iter().map(|deed| format!("{deed:?}")).collect(),
        })
    }

    async fn take(&mut self, step: &Step, tally: &Tally) -> Result<(), String> {
        match step {
            Step::Call(plan, beforehand) => {
                let call = cast::call(plan, &self.model, &mut self.ids, self.stranger);
                self.send(call, *beforehand, tally).await
            }
            Step::Repeat(plan, beforehand) => match cast::repeat(*plan, &self.calls, &self.model) {
                Some(call) => self.send(call, *beforehand, tally).await,
                None => Ok(()),
            },
            Step::Ask(plan) => self.ask(*plan).await,
            Step::List(plan) => self.list(*plan).await,
            Step::Deed(plan) => match cast::deed(*plan, &self.model, &mut self.ids) {
                Some(deed) => self.carry_out(deed).await,
                None => Ok(()),
            },
        }
    }

    async fn send(&mut self, call: Call, beforehand: Beforehand, tally: &Tally) -> Result<(), String> {
        let number = self.calls.len();
        self.lines.push(format!("call {number}: {call:?}"));
        let validated = match beforehand {
            // The answer does not contain the outcome.
            _ if call.later => None,
            // A second `validateOnly` is refused with another message.
            _ if matches!(call.form, Form::Wrong(Wrong::Query(_))) => None,
            Beforehand::Nothing => None,
            Beforehand::Validation => Some(service::send(validating(call.request(self.service))).await),
        };
        let before = self.model.clone();
        let mut expected = call.predict(&mut self.model, number);
        let answer = service::send(call.request(self.service)).await;
        if let Some(validated) = validated {
            self.lines.push(format!("validated before: {} {}", validated.status, validated.text));
            agree(&validated.but_for_its_id(), &answer.but_for_its_id())?;
            count(tally, "validated");
        }
        let (refusal, request_id) = read(&answer)?;
        if call.cancel && answer.status == 202 && is_cancelled(self.service, &call, request_id).await? {
            self.model = before;
            expected = call.predict_cancelled(&mut self.model, number);
            count(tally, "cancelled");
        }
        let refusal = if answer.status == 202 { end_of(self.service, &call, request_id).await? } else { refusal };
        if call.preference() == Some("respond-async") && answer.status == 200 {
            return Err("a caller that does not wait was kept waiting".to_owned());
        }
        let found = Answered { refusal, replay_of: self.replay_of(&answer, request_id)? };
        if found.replay_of.is_none() && self.numbers.insert(request_id, number).is_some() {
            return Err(format!("{request_id} was the Request-Id of another call already"));
        }
        let of = found.replay_of.unwrap_or(number);
        let is_problem = self.is_problem(call.problem, of, &answer)?;
        self.calls.push(call);
        self.speaks_of.push(of);
        count(tally, &name(&found, answer.status == 202));
        if is_problem {
            count(tally, "a problem");
        }
        agree(&expected, &found)
    }

    /// A failure is a problem document if its caller prefers that. It then has the failures of the operation that it is about.
    fn is_problem(&self, is_preferred: bool, number: usize, answer: &Answer) -> Result<bool, String> {
        let is_problem = answer.header("Content-Type") == Some(PROBLEM);
        agree(&(is_preferred && !matches!(answer.status, 200 | 202)), &is_problem)?;
        if is_problem {
            let expected = self.model.operations.get(&number).map(failures).filter(|failures| !failures.is_empty());
            agree(&expected, &answer.json()["failures"].as_array().cloned())?;
        }
        Ok(is_problem)
    }

    fn replay_of(&self, answer: &Answer, request_id: Uuid) -> Result<Option<usize>, String> {
        match answer.header("Idempotency-Replayed") {
            None => Ok(None),
            Some("true") => match self.numbers.get(&request_id) {
                Some(number) => Ok(Some(*number)),
                None => Err(format!("{request_id} is the replay of no call")),
            },
            Some(other) => Err(format!("Idempotency-Replayed: {other}")),
        }
    }

    async fn carry_out(&mut self, deed: Deed) -> Result<(), String> {
        self.lines.push(format!("{deed:?}"));
        let expected = self.model.carry_out(&deed);
        agree(&expected, &deeds::carry_out(&self.service.database.pool, &deed, false).await?.done)
    }

    async fn ask(&mut self, plan: AskPlan) -> Result<(), String> {
        if self.calls.is_empty() {
            return Ok(());
        }
        let number = self.speaks_of[usize::from(plan.call) % self.calls.len()];
        let requester = match plan.by {
            Who::Right => self.calls[number].requester,
            Who::Any(other) => self.model.customers[usize::from(other) % self.model.customers.len()].id,
            Who::Unknown => self.stranger,
        };
        self.lines.push(format!("the status of call {number}, for {requester}, {plan:?}"));
        let in_detail = plan.how != Asking::Status;
        let (&request_id, _) = self.numbers.iter().find(|(_, of)| **of == number).expect("each call has its own");
        let operation = self.model.operations.get(&number).filter(|found| found.asked.requester == requester);
        let answer = match plan.how {
            Asking::Status => self.service.status(requester, request_id).await,
            Asking::Details => self.service.details(requester, request_id).await,
            Asking::Full => {
                let path = format!("/api/v3/global/call/{request_id}?view=full");
                service::send(self.service.call(Method::GET, &path, requester)).await
            }
            Asking::Cancelling => self.service.cancel(requester, request_id).await,
        };
        let Some(operation) = operation else {
            return agree(&Some("GLOBAL_1003"), &read(&answer)?.0);
        };
        if plan.how == Asking::Cancelling {
            return agree(&Some("NOT_CANCELLABLE"), &read(&answer)?.0);
        }
        let mut found = answer.json()["content"][0].clone();
        if let Some(details) = found.as_object_mut().filter(|_| in_detail) {
            let [began, ended] = ["createdAt", "completedAt"].map(|name| details.remove(name));
            if !matches!((&began, &ended), (Some(Value::String(_)), Some(Value::String(_)))) {
                return Err(format!("it worked from {began:?} to {ended:?}"));
            }
        }
        let mut expected = status(operation, request_id, in_detail, &found);
        if plan.how == Asking::Full {
            expected["targetIds"] = operation.asked.ids.iter().map(Uuid::to_string).collect();
        }
        agree(&expected, &found)
    }

    /// Lists calls page by page, and compares their numbers with the model.
    async fn list(&mut self, plan: ListPlan) -> Result<(), String> {
        if self.calls.is_empty() {
            return Ok(());
        }
        let [of, like] = [plan.call, plan.like].map(|call| &self.calls[usize::from(call) % self.calls.len()]);
        let requester = match plan.by {
            Who::Right => of.requester,
            Who::Any(other) => self.model.customers[usize::from(other) % self.model.customers.len()].id,
            Who::Unknown => self.stranger,
        };
        let target = plan.target.filter(|_| !self.model.rows.is_empty());
        let target = target.map(|row| &self.model.rows[usize::from(row) % self.model.rows.len()]);
        let mut query = format!("?size={}", plan.size);
        if let Some(failed) = plan.failed {
            query += if failed { "&status=FAILURE" } else { "&status=SUCCESS" };
        }
        if plan.with_resource {
            query += &format!("&resource={}", like.word);
        }
        if plan.with_customer {
            query += &format!("&customerId={}", like.customer);
        }
        if let Some(target) = target {
            query += &format!("&targetId={}", target.id);
        }
        let matches = |(number, operation): &(&usize, &Operation)| {
            operation.asked.requester == requester
                && plan.failed.is_none_or(|failed| failed == operation.refusal.is_some())
                && (!plan.with_resource || operation.asked.word == like.word)
                && (!plan.with_customer || operation.asked.customer == like.customer)
                && target.is_none_or(|target| target.fate == Fate::DeletedBy(**number))
        };
        let expected: Vec<usize> =
            self.model.operations.iter().filter(matches).map(|(number, _)| *number).rev().collect();
        self.lines.push(format!("the calls of {requester}, {query}"));
        let mut found = Vec::new();
        let mut token = String::new();
        loop {
            let path = format!("/api/v3/global/call{query}{token}");
            let answer = service::send(self.service.call(Method::GET, &path, requester)).await.json();
            for call in answer["content"].as_array().into_iter().flatten() {
                let id: Option<Uuid> = call["requestId"].as_str().and_then(|id| id.parse().ok());
                let number = id.and_then(|id| self.numbers.get(&id));
                found.push(*number.ok_or_else(|| format!("a call that nobody sent: {call}"))?);
            }
            let Some(next) = answer["pageable"]["nextPageToken"].as_str() else { break };
            token = format!("&pageToken={next}");
        }
        agree(&expected, &found)
    }

    /// Compares the tables with the model at the end.
    async fn end(&self) -> Result<(), String> {
        let expected = Tables::from(&self.model);
        let ids: Vec<Uuid> = expected.rows.keys().copied().collect();
        let requesters: Vec<Uuid> =
            self.model.customers.iter().map(|customer| customer.id).chain([self.stranger]).collect();
        let found = tables::read(&self.service.database.pool, &ids, &requesters, &self.numbers).await?;
        let differences = tables::differences(&expected, &found);
        if differences.is_empty() { Ok(()) } else { Err(differences.join("\n")) }
    }

    /// The events, with names instead of ids.
    fn tell(&self, error: &str) -> String {
        let mut story = format!("{}\n{error}", self.lines.join("\n"));
        let customers = self.model.customers.iter().map(|customer| (customer.id, "customer"));
        let entities = self.model.entities.iter().map(|entity| (entity.id, entity.table));
        let rows = self.model.rows.iter().map(|row| (row.id, row.word));
        let allocations = self.model.allocations.iter().map(|allocation| (allocation.id, "allocation"));
        for (number, (id, kind)) in customers.chain(entities).chain(rows).chain(allocations).enumerate() {
            story = story.replace(&id.to_string(), &format!("{kind}-{number}"));
        }
        story.replace(&self.stranger.to_string(), "nobody")
    }
}

/// Cancels an accepted call. Returns false if it was executed first.
pub async fn is_cancelled(service: &TestService, call: &Call, request_id: Uuid) -> Result<bool, String> {
    let answer = service.cancel(call.requester, request_id).await;
    match answer.status {
        200 if answer.json()["content"][0]["errorCode"] == CANCELLED => Ok(true),
        409 if answer.json()["errorCode"] == "NOT_CANCELLABLE" => Ok(false),
        _ => Err(format!("a cancelled call is {} {}", answer.status, answer.text)),
    }
}

/// The refusal that an accepted call ended with, if any. Every second status call waits for the end.
pub async fn end_of(service: &TestService, call: &Call, request_id: Uuid) -> Result<Option<&'static str>, String> {
    let began = Instant::now();
    loop {
        let path = format!("/api/v3/global/call/{request_id}");
        let status = service.call(Method::GET, &path, call.requester);
        let waits = request_id.as_u128().is_multiple_of(2);
        let status = send(if waits { status.header("Prefer", "wait=5") } else { status }).await;
        let details = status.json()["content"][0].clone();
        if status.header("Preference-Applied") != waits.then_some("wait=5") {
            return Err(format!("the wait was not applied: {:?}", status.headers));
        }
        match (details["status"].as_str(), details["errorCode"].as_str().and_then(row_of)) {
            (Some("OPEN"), None) if began.elapsed() < LONGEST_OPERATION => sleep(PAUSE).await,
            (Some("SUCCESS"), None) => return Ok(None),
            (Some("FAILURE"), Some((code, ..))) => return Ok(Some(code)),
            _ => return Err(format!("an accepted call is {details} after {:?}", began.elapsed())),
        }
    }
}

fn agree<T: PartialEq + Debug>(expected: &T, found: &T) -> Result<(), String> {
    if expected == found { Ok(()) } else { Err(format!("expected {expected:?}, found {found:?}")) }
}

fn name(answered: &Answered, accepted: bool) -> String {
    let later = if accepted { ", later" } else { "" };
    let replayed = if answered.replay_of.is_some() { ", replayed" } else { "" };
    format!("{}{replayed}{later}", answered.refusal.unwrap_or("deleted"))
}

fn count(tally: &Tally, name: &str) {
    *tally.lock().unwrap().entry(name.to_owned()).or_default() += 1;
}

/// The expected status of an operation. If the contract does not give the text of a message, the text that was found is used.
fn status(operation: &Operation, request_id: Uuid, in_detail: bool, found: &Value) -> Value {
    let status = if operation.refusal.is_some() { "FAILURE" } else { "SUCCESS" };
    if !in_detail {
        return serde_json::json!({ "status": status });
    }
    let message = operation.refusal.map_or(Some(""), |code| row_of(code).expect("it is the contract's").2);
    serde_json::json!({
        "requestId": request_id,
        "status": status,
        "resource": operation.asked.word,
        "customerId": operation.asked.customer,
        "errorCode": operation.refusal.unwrap_or(""),
        "errorMessage": message.map_or(found["errorMessage"].clone(), Value::from),
        "failedIds": operation.failed_ids,
        "failures": failures(operation),
        "deletedRows": if operation.refusal.is_some() { 0 } else { operation.asked.ids.len() },
        "attempts": found["attempts"],
        "restoredAt": null,
        "actor": operation.actor,
    })
}

fn failures(operation: &Operation) -> Vec<Value> {
    let told = |(id, (code, holders)): (&Uuid, &(&str, BTreeSet<Uuid>))| {
        let message = row_of(code).expect("it is the contract's").2;
        let mut told = serde_json::json!({ "id": id, "errorCode": code, "errorMessage": message });
        if !holders.is_empty() {
            let holders = holders.iter().map(|holder| serde_json::json!({ "customerId": holder }));
            told["allocations"] = holders.collect();
        }
        told
    };
    operation.failures.iter().map(told).collect()
}
