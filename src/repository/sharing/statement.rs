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
    let operations: Vec<_> = deletions.iter().map(|deletion| deletion.operation_id).collect();
    let requesters: Vec<_> = deletions.iter().map(|deletion| deletion.requester_id).collect();
    let customers: Vec<_> = deletions.iter().map(|deletion| deletion.customer_id).collect();
    let actors: Vec<_> =
        deletions.iter().map(|deletion| deletion.actor.as_ref().map(|actor| actor.as_str().to_owned())).collect();
    // The ids of the first call, then those of the second, and so on. The positions of the first and
    // the last id of each call are counted from 1.
    let mut targets: Vec<Uuid> = Vec::new();
    let (mut firsts, mut lasts) = (Vec::new(), Vec::new());
    for deletion in deletions {
        firsts.push(targets.len() as i32 + 1);
        targets.extend(deletion.targets.as_slice());
        lasts.push(targets.len() as i32);
    }
    macro_rules! share {
        ($file:literal) => {{
            let statement = sqlx::query_file_scalar!(
                $file,
                &operations,
                &requesters,
                &customers,
                &targets,
                &firsts,
                &lasts,
                &actors as &[Option<String>],
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
