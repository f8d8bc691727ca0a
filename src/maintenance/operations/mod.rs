//! `operations`: lists and shows operations, retries one that ended as an internal error, and
//! cancels a queued one.

mod cancel;
mod retry;
mod shown;
mod statements;

use clap::{ArgGroup, ValueEnum};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

pub(super) use self::shown::Shown;
pub(super) use self::statements::{find, require};

use self::shown::ListedOperation;
use super::{MaintenanceError, session};
use crate::operation::Status;
use crate::output::{lines, report};

/// The number of operations that a statement searches.
const PAGE: i64 = 5_000;

#[derive(clap::Args)]
#[command(group = ArgGroup::new("one"))]
pub struct Arguments {
    /// Lists only the operations of this requester.
    #[arg(long, value_name = "ID", conflicts_with = "one")]
    requester: Option<Uuid>,

    /// Lists only the operations about this customer.
    #[arg(long, value_name = "ID", conflicts_with = "one")]
    customer: Option<Uuid>,

    /// Lists only the operations with this status.
    #[arg(long, value_name = "STATUS", value_enum, ignore_case = true, conflicts_with = "one")]
    status: Option<Status>,

    /// The largest number of operations in the list. The newest come first.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "one")]
    limit: u32,

    /// Shows this operation with its ids.
    #[arg(long, value_name = "ID", group = "one")]
    id: Option<Uuid>,

    /// Retries this operation, which ended as INTERNAL_ERROR: a new operation with the same ids
    /// joins the queue.
    #[arg(long, value_name = "ID", group = "one")]
    retry: Option<Uuid>,

    /// Cancels this operation, if it is queued.
    #[arg(long, value_name = "ID", group = "one")]
    cancel: Option<Uuid>,

    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

impl ValueEnum for Status {
    fn value_variants<'a>() -> &'a [Status] {
        &Status::ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.word()))
    }
}

/// Prints the operations on standard output.
pub async fn run(arguments: Arguments) -> Result<(), MaintenanceError> {
    let mut session = session::open("customer-deletion operations").await?;
    if let Some(id) = arguments.id {
        let Some(operation) = find(&mut session, id).await? else {
            let problem = format!("no operation has the id {id}; old operations are purged");
            return Err(MaintenanceError::Refused(problem));
        };
        report(arguments.json, &operation, &operation);
    } else if let Some(id) = arguments.retry {
        let retried = retry::retry(&mut session, id).await?;
        let text = format!("operation {id} is retried as operation {retried}, which is queued");
        report(arguments.json, json!({"operation": id, "retriedAs": retried}), text);
    } else if let Some(id) = arguments.cancel {
        cancel::cancel(&mut session, id).await?;
        report(arguments.json, json!({"cancelled": id}), format!("operation {id} is cancelled"));
    } else {
        let operations = list(&mut session, &arguments).await?;
        report(arguments.json, &operations, lines(&operations, "no operation"));
    }
    Ok(())
}

/// Searches from the newest operation to the oldest, in short statements: there is no index for
/// most filters.
async fn list(session: &mut PgConnection, arguments: &Arguments) -> sqlx::Result<Vec<ListedOperation>> {
    let limit = arguments.limit as usize;
    let (mut operations, mut before) = (Vec::new(), Uuid::max());
    while operations.len() < limit
        && let Some(from) = statements::search_end(session, before, PAGE).await?
    {
        operations.extend(statements::search(session, from..before, arguments).await?);
        before = from;
    }
    operations.truncate(limit);
    Ok(operations)
}
