//! The contents of the tables after a history, as types of the model.

use std::collections::{BTreeMap, BTreeSet};

use customer_deletion::resource::Resource;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use super::contract::{row_of, words};
use super::model::{Asked, Failures, Fate, Model, Operation};

use crate::support::TestPool;
use crate::support::resources::table;

/// The owner of a row, and whether it is live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The customer that it belongs to. For a customer, its parent.
    owner: Option<Uuid>,
    fate: Fate,
}

/// All rows and operations of one history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    pub rows: BTreeMap<Uuid, State>,
    pub operations: BTreeMap<usize, Operation>,
}

impl From<&Model> for Tables {
    fn from(model: &Model) -> Tables {
        let fate = |live: bool| if live { Fate::Live } else { Fate::DeletedElsewhere };
        let mut rows = BTreeMap::new();
        for customer in &model.customers {
            rows.insert(customer.id, State { owner: customer.parent, fate: fate(customer.live) });
        }
        for entity in &model.entities {
            rows.insert(entity.id, State { owner: Some(entity.customer), fate: fate(entity.live) });
        }
        for row in &model.rows {
            rows.insert(row.id, State { owner: Some(row.customer), fate: row.fate });
        }
        for allocation in &model.allocations {
            let state = State { owner: Some(allocation.customer), fate: fate(!allocation.detached) };
            rows.insert(allocation.id, state);
        }
        Tables { rows, operations: model.operations.clone() }
    }
}

const OTHER_ROWS: &str = "
    select id, parent_id as owner, deleted_at as gone_at, null::uuid as gone_by from customer where id = any($1)
    union all select id, customer_id, deleted_at, null from subscriber where id = any($1)
    union all select id, customer_id, deleted_at, null from sell_plan where id = any($1)
    union all select id, customer_id, detached_at, null from product_allocation where id = any($1)";

/// The rows of all tables, whether or not they are resources.
fn rows() -> String {
    let of = |resource| {
        let table = table(resource);
        format!(" union all select id, customer_id, deleted_at, deleted_by from {table} where id = any($1)")
    };
    OTHER_ROWS.to_owned() + &Resource::ALL.map(of).concat()
}

const OPERATIONS: &str = "
    select id, requester_id, customer_id, resource::text, target_ids, status, error_code, failed_ids, failures::text, idempotency_key,
      actor, created_at, completed_at
    from operation
    where requester_id = any($1)";

/// Reads the rows with these ids, and the operations of these requesters. Calls are identified by their request ids.
pub async fn read(
    pool: &TestPool,
    ids: &[Uuid],
    requesters: &[Uuid],
    numbers: &BTreeMap<Uuid, usize>,
) -> Result<Tables, String> {
    let mut tables = Tables::default();
    let mut times: BTreeMap<usize, BTreeSet<OffsetDateTime>> = BTreeMap::new();
    for row in sqlx::query(AssertSqlSafe(rows())).bind(ids).fetch_all(pool).await.map_err(|error| error.to_string())? {
        let fate = match (row.get::<Option<OffsetDateTime>, _>("gone_at"), row.get::<Option<Uuid>, _>("gone_by")) {
            (None, _) => Fate::Live,
            (Some(_), None) => Fate::DeletedElsewhere,
            (Some(at), Some(by)) => {
                let number = number(numbers, by)?;
                times.entry(number).or_default().insert(at);
                Fate::DeletedBy(number)
            }
        };
        tables.rows.insert(row.get("id"), State { owner: row.get("owner"), fate });
    }
    for row in sqlx::query(OPERATIONS).bind(requesters).fetch_all(pool).await.map_err(|error| error.to_string())? {
        let number = number(numbers, row.get("id"))?;
        let [began, ended] = [row.get::<OffsetDateTime, _>("created_at"), row.get("completed_at")];
        let deleted_at: Vec<OffsetDateTime> = times.remove(&number).unwrap_or_default().into_iter().collect();
        if deleted_at.len() > 1 || deleted_at.iter().any(|at| *at < began || ended < *at) {
            return Err(format!("call {number} has worked from {began} to {ended}, and deleted at {deleted_at:?}"));
        }
        tables.operations.insert(number, operation(&row)?);
    }
    Ok(tables)
}

fn number(numbers: &BTreeMap<Uuid, usize>, id: Uuid) -> Result<usize, String> {
    numbers.get(&id).copied().ok_or_else(|| format!("no call has the request id {id}"))
}

fn operation(row: &sqlx::postgres::PgRow) -> Result<Operation, String> {
    let refusal = match (row.get::<&str, _>("status"), row.get::<Option<&str>, _>("error_code")) {
        ("SUCCESS", None) => None,
        ("FAILURE", Some(code)) => Some(row_of(code).ok_or_else(|| format!("`{code}` is recorded"))?.0),
        other => return Err(format!("{other:?} is recorded")),
    };
    let word = words().into_iter().find(|word| *word == row.get::<&str, _>("resource"));
    let set = |column: &str| {
        let ids: Vec<Uuid> = row.get(column);
        if ids.is_sorted_by(|one, next| one < next) {
            Ok(ids.into_iter().collect::<BTreeSet<_>>())
        } else {
            Err(format!("{column} has ids twice, or out of order: {ids:?}"))
        }
    };
    Ok(Operation {
        asked: Asked {
            requester: row.get("requester_id"),
            customer: row.get("customer_id"),
            word: word.ok_or("an operation is about no resource")?,
            ids: set("target_ids")?,
        },
        refusal,
        failed_ids: set("failed_ids")?,
        failures: failures(row.get("failures"))?,
        key: row.get("idempotency_key"),
        actor: row.get("actor"),
    })
}

fn failures(stored: Option<&str>) -> Result<Failures, String> {
    let told: Vec<Value> = stored.map_or(Vec::new(), |stored| serde_json::from_str(stored).expect("it is a list"));
    let id = |value: &Value| -> Uuid { serde_json::from_value(value.clone()).expect("it is an id") };
    let failure = |told: &Value| {
        let code = told["errorCode"].as_str().and_then(row_of).ok_or_else(|| format!("{told} is recorded"))?.0;
        let holders = told["allocations"].as_array().into_iter().flatten().map(id).collect();
        Ok((id(&told["id"]), (code, holders)))
    };
    told.iter().map(failure).collect()
}

/// Every difference between the two.
pub fn differences(expected: &Tables, found: &Tables) -> Vec<String> {
    let rows = expected.rows.keys().chain(found.rows.keys()).collect::<BTreeSet<_>>().into_iter();
    let rows = rows
        .filter(|id| expected.rows.get(id) != found.rows.get(id))
        .map(|id| format!("row {id}: expected {:?}, found {:?}", expected.rows.get(id), found.rows.get(id)));
    let numbers = expected.operations.keys().chain(found.operations.keys()).collect::<BTreeSet<_>>().into_iter();
    let operations =
        numbers.filter(|number| expected.operations.get(number) != found.operations.get(number)).map(|number| {
            let [expected, found] = [&expected.operations, &found.operations].map(|operations| operations.get(number));
            format!("call {number}: expected to be recorded {expected:?}, found {found:?}")
        });
    rows.chain(operations).collect()
}
