//! Checks after the load has ended that rows, operations and answers agree.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::load::{Attempt, Call, Outcome};
use crate::support::TestPool;

/// The contents of the tables at the end.
struct Books {
    /// Status and code of each operation.
    operations: HashMap<Uuid, (String, Option<String>)>,
    /// The operation that deleted each deleted row.
    deleted_by: HashMap<Uuid, Uuid>,
}

/// A backend does not notice that its client is gone, and finishes its statement.
pub async fn until_quiet(pool: &TestPool) {
    for _ in 0..500 {
        let busy: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity
             where datname = current_database() and application_name = 'customer-deletion' and state = 'active'",
        )
        .fetch_one(pool)
        .await
        .unwrap();
        if busy == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("a statement does not end");
}

/// Also waits for operations whose acceptance was not answered, so that no client asks for them.
async fn until_nothing_waits(pool: &TestPool) {
    let began = Instant::now();
    loop {
        let waiting: i64 = sqlx::query_scalar("select count(*) from operation_queue").fetch_one(pool).await.unwrap();
        if waiting == 0 {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{waiting} operations are open after a minute");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Asserts that every answer is true, that every call without an answer took effect completely or not at all, and that nothing
/// else changed.
pub async fn assert_agreement(pool: &TestPool, calls: &[Call]) {
    until_nothing_waits(pool).await;
    until_quiet(pool).await;
    crate::support::audit::assert_agreement(pool).await;

    let books = Books::read(pool).await;
    for call in calls {
        books.check(call).unwrap_or_else(|problem| panic!("{problem}: {call:#?}"));
    }
}

impl Books {
    async fn read(pool: &TestPool) -> Books {
        let operations: Vec<(Uuid, String, Option<String>)> =
            sqlx::query_as("select id, status, error_code from operation").fetch_all(pool).await.unwrap();
        let rows: Vec<(Uuid, Uuid)> =
            sqlx::query_as("select id, operation_id from deletion_history where operation_id is not null")
                .fetch_all(pool)
                .await
                .unwrap();
        let operations = operations.into_iter().map(|(id, status, code)| (id, (status, code)));
        Books { operations: operations.collect(), deleted_by: rows.into_iter().collect() }
    }

    fn check(&self, call: &Call) -> Result<(), &'static str> {
        let outcome = &call.last().outcome;
        let unanswered = matches!(outcome, Outcome::Unavailable(_) | Outcome::Unanswered(_) | Outcome::Unexplained(_));
        if !unanswered && call.work.later != matches!(outcome, Outcome::Accepted(_)) {
            return Err("a preference that is not applied, or not sent");
        }
        match outcome {
            Outcome::Deleted(id) => self.check_deleted(call, *id)?,
            Outcome::Refused(id, code) => self.check_refused(call, *id, code)?,
            Outcome::Accepted(id) => self.check_accepted(call, *id)?,
            Outcome::Unavailable(_) | Outcome::Unanswered(_) if call.work.key.is_some() => {
                return Err("a call under a key is never decided");
            }
            Outcome::Unavailable(id) => self.check_undecided(call, Some(*id))?,
            Outcome::Unanswered(_) => self.check_undecided(call, None)?,
            Outcome::Unexplained(_) => return Err("an answer that no fault explains"),
        }
        call.attempts.iter().try_for_each(|attempt| self.check_earlier(call, attempt))
    }

    fn check_deleted(&self, call: &Call, id: Uuid) -> Result<(), &'static str> {
        if call.work.unknown.is_some() {
            return Err("a list with an unknown id is deleted");
        }
        if self.operations.get(&id) != Some(&("SUCCESS".to_owned(), None)) {
            return Err("a 200 without its operation");
        }
        let all_gone = call.work.ids.iter().all(|row| self.deleted_by.get(row) == Some(&id));
        if all_gone { Ok(()) } else { Err("a 200 whose rows are not deleted by it") }
    }

    fn check_refused(&self, call: &Call, id: Uuid, code: &str) -> Result<(), &'static str> {
        if call.work.refusal() != Some(code) {
            return Err("a refusal that is not the documented one");
        }
        if self.operations.get(&id) != Some(&("FAILURE".to_owned(), Some(code.to_owned()))) {
            return Err("a refusal without its operation");
        }
        let none_gone = call.work.ids.iter().all(|row| !self.deleted_by.contains_key(row));
        if none_gone { Ok(()) } else { Err("a refusal that deleted rows") }
    }

    /// The operation has ended with the outcome that the same call would have had, and its status shows this.
    fn check_accepted(&self, call: &Call, id: Uuid) -> Result<(), &'static str> {
        let end = call.end.as_ref().ok_or("a call was accepted, and nobody knows its end")?;
        let expected = call.work.refusal().map_or(("SUCCESS", ""), |code| ("FAILURE", code));
        if (end.status.as_str(), end.code.as_str()) != expected {
            return Err("an accepted call did not end as it should");
        }
        match call.work.refusal() {
            None => self.check_deleted(call, id),
            Some(code) => self.check_refused(call, id, code),
        }
    }

    /// All or nothing. If there is a Request-Id, its operation shows which.
    fn check_undecided(&self, call: &Call, request_id: Option<Uuid>) -> Result<(), &'static str> {
        let gone: Vec<_> = call.work.ids.iter().filter_map(|row| self.deleted_by.get(row)).collect();
        let whole = gone.is_empty() || (gone.len() == call.work.ids.len() && gone.iter().all(|id| *id == gone[0]));
        if !whole {
            return Err("a part of a list is deleted");
        }
        let Some(request_id) = request_id else { return Ok(()) };
        let recorded = self.operations.get(&request_id).is_some_and(|(status, _)| status == "SUCCESS");
        match gone.first() {
            Some(id) if **id != request_id => Err("the rows of a 503 are deleted by another operation"),
            Some(_) if !recorded => Err("the operation of a 503 does not tell that it deleted"),
            None if recorded => Err("the operation of a 503 tells of a deletion that was none"),
            Some(_) | None => Ok(()),
        }
    }

    /// However often a call was sent, it has one operation, and the last answer names it.
    fn check_earlier(&self, call: &Call, attempt: &Attempt) -> Result<(), &'static str> {
        let Outcome::Unavailable(id) = attempt.outcome else { return Ok(()) };
        let decided = match call.last().outcome {
            Outcome::Deleted(decided) | Outcome::Refused(decided, _) | Outcome::Accepted(decided) => decided,
            Outcome::Unavailable(_) | Outcome::Unanswered(_) | Outcome::Unexplained(_) => return Ok(()),
        };
        let recorded = self.operations.contains_key(&id);
        if recorded && id != decided { Err("a call that was sent twice has two operations") } else { Ok(()) }
    }
}
