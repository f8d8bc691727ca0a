//! The statement for several calls (`sql/share_*.sql`).

use std::sync::Arc;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::operation::Deletion;
use crate::repository::database::observed::observed;
use crate::resource::Resource;

/// Deletes every target of each call and records its success, or changes nothing of the call.
/// Returns the recorded operations. The calls are about this resource, and have no key and no id in
/// common.
pub async fn share(
    connection: &mut PgConnection,
    resource: Resource,
    deletions: &[Arc<Deletion>],
) -> sqlx::Result<Vec<Uuid>> {
    let Calls { operations, requesters, customers, targets, firsts, lasts, actors } = &Calls::new(deletions);
    macro_rules! share {
        ($file:literal) => {{
            let statement = sqlx::query_file_scalar!(
                $file,
                operations,
                requesters,
                customers,
                targets,
                firsts,
                lasts,
                &actors[..] as &[Option<String>],
            );
            observed($file, statement.fetch_all(connection)).await
        }};
    }
    match resource {
        Resource::Contact => share!("src/repository/sql/share_contacts.sql"),
        Resource::Address => share!("src/repository/sql/share_addresses.sql"),
        Resource::ExternalParams => share!("src/repository/sql/share_external_params.sql"),
        Resource::Zone => share!("src/repository/sql/share_zones.sql"),
        Resource::Product => Ok(Vec::new()),
    }
}

/// Several calls, column by column.
#[derive(Default)]
struct Calls {
    operations: Vec<Uuid>,
    requesters: Vec<Uuid>,
    customers: Vec<Uuid>,
    /// The ids of the first call, then those of the second, and so on.
    targets: Vec<Uuid>,
    /// The positions of the first and the last target of each call, counted from 1.
    firsts: Vec<i32>,
    lasts: Vec<i32>,
    actors: Vec<Option<String>>,
}

impl Calls {
    fn new(deletions: &[Arc<Deletion>]) -> Calls {
        let mut calls = Calls::default();
        for deletion in deletions {
            calls.operations.push(deletion.operation_id);
            calls.requesters.push(deletion.requester_id);
            calls.customers.push(deletion.customer_id);
            calls.firsts.push(calls.targets.len() as i32 + 1);
            calls.targets.extend(deletion.targets.as_slice());
            calls.lasts.push(calls.targets.len() as i32);
            calls.actors.push(deletion.actor.as_ref().map(|actor| actor.as_str().to_owned()));
        }
        calls
    }
}
