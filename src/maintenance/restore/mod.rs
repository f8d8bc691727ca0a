//! `restore`: restores the rows that one operation deleted, all or none.

mod obstacles;
mod statements;

use std::collections::HashMap;
use std::fmt::Display;

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use self::obstacles::Surroundings;
use self::statements::{DeletedRow, Entity};
use super::operations::{self, Shown};
use super::{MaintenanceError, session, written};
use crate::operation::Status;
use crate::output::say;
use crate::resource::Resource;
use crate::sqlstate;

/// The restore is tried again if a name is taken between the check and the restore.
const TRIES: u32 = 3;

#[derive(clap::Args)]
pub struct Arguments {
    /// The operation whose rows are restored: the requestId in the answer to the deletion.
    #[arg(long, value_name = "ID")]
    operation: Uuid,

    /// Only lists the rows, and says whether they can be restored.
    #[arg(long)]
    dry_run: bool,
}

/// Restores the rows that the operation deleted, and reports on standard output.
pub async fn run(arguments: Arguments) -> Result<(), MaintenanceError> {
    let mut session = session::open("customer-deletion restore").await?;
    let mut tries_left = TRIES;
    loop {
        tries_left -= 1;
        match restore(&mut session, &arguments).await {
            // Another transaction just took the name or restored the operation. The next try
            // reports it.
            Err(MaintenanceError::Database(error)) if tries_left > 0 && sqlstate::is_one_of(&error, &["23505"]) => {}
            Err(MaintenanceError::Database(error)) if sqlstate::is_one_of(&error, &sqlstate::LOCKED) => {
                let problem = "somebody locks the rows, or an entity that they refer to; try again later";
                return Err(refused(problem));
            }
            result => return result,
        }
    }
}

async fn restore(session: &mut PgConnection, arguments: &Arguments) -> Result<(), MaintenanceError> {
    let operation_id = arguments.operation;
    let mut tx = session.begin().await?;
    let (deletion, resource) = find_deletion(&mut tx, operation_id).await?;
    let rows = statements::lock_deleted(&mut tx, resource, operation_id).await?;
    refuse_second_restore(&mut tx, operation_id).await?;
    let surroundings = lock_surroundings(&mut tx, resource, operation_id, &rows).await?;
    let found = obstacles::find(&deletion.target_ids, &rows, &surroundings);
    if arguments.dry_run {
        list(resource, &rows);
    }
    if !found.is_empty() {
        return Err(refused(explain(resource, &found)));
    }
    if arguments.dry_run {
        say(&format!("{} can be restored; nothing is changed", count(&deletion, resource)));
        return Ok(());
    }
    let restoration_id = Uuid::now_v7();
    statements::restore(&mut tx, restoration_id, operation_id).await?;
    tx.commit().await?;
    say(&format!(
        "restored {}, deleted by the call of requester {} at {}; recorded as restoration {restoration_id}",
        count(&deletion, resource),
        deletion.requester_id,
        written(deletion.created_at)
    ));
    Ok(())
}

/// The operation, if it deleted rows that can be restored.
async fn find_deletion(
    connection: &mut PgConnection,
    operation_id: Uuid,
) -> Result<(Shown, Resource), MaintenanceError> {
    let Some(deletion) = operations::find(connection, operation_id).await? else {
        return Err(refused(format!("no operation has the id {operation_id}; old operations are purged")));
    };
    let status: Status = deletion.parse(&deletion.status).map_err(refused)?;
    if status != Status::Success {
        let problem = format!("operation {operation_id} deleted nothing; its status is {}", status.word());
        return Err(refused(problem));
    }
    let resource: Resource = deletion.parse(&deletion.resource).map_err(refused)?;
    if !resource.rules().can_be_restored {
        return Err(refused(format!("a deleted {} cannot be restored", resource.word())));
    }
    Ok((deletion, resource))
}

/// Runs once the rows are locked. Then it sees a restore that was faster.
async fn refuse_second_restore(connection: &mut PgConnection, operation_id: Uuid) -> Result<(), MaintenanceError> {
    let earlier = sqlx::query_file!("src/maintenance/sql/find_restoration.sql", operation_id);
    let Some(earlier) = earlier.fetch_optional(connection).await? else { return Ok(()) };
    let when = written(earlier.restored_at);
    let problem = format!("operation {operation_id} was restored already, at {when} by {}", earlier.restored_by);
    Err(refused(problem))
}

/// Locks the entities that the rows refer to until the transaction ends, so that nobody deletes
/// them before the restore.
async fn lock_surroundings(
    connection: &mut PgConnection,
    resource: Resource,
    operation_id: Uuid,
    rows: &[DeletedRow],
) -> Result<Surroundings, MaintenanceError> {
    let every = |id: fn(&DeletedRow) -> Option<Uuid>| {
        let mut ids: Vec<Uuid> = rows.iter().filter_map(id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    };
    let customers = [every(|row| Some(row.customer_id)), every(|row| row.sub_customer_id)].concat();
    let (subscribers, sell_plans) = (every(|row| row.subscriber_id), every(|row| row.sell_plan_id));
    let taken_names = match resource {
        Resource::Zone => {
            let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
            statements::taken_zone_names(connection, &ids).await?.into_iter().collect()
        }
        Resource::Contact | Resource::Address | Resource::ExternalParams | Resource::Product => HashMap::new(),
    };
    Ok(Surroundings {
        customers: statements::lock_entities(connection, Entity::Customer, &customers, operation_id).await?,
        subscribers: statements::lock_entities(connection, Entity::Subscriber, &subscribers, operation_id).await?,
        sell_plans: statements::lock_entities(connection, Entity::SellPlan, &sell_plans, operation_id).await?,
        taken_names,
    })
}

fn list(resource: Resource, rows: &[DeletedRow]) {
    for row in rows {
        say(&format!("{} {} of customer {}", resource.word(), row.id, row.customer_id));
    }
}

fn explain(resource: Resource, obstacles: &[(Uuid, String)]) -> String {
    let lines = obstacles.iter().map(|(id, obstacle)| format!("\n  {} {id}: {obstacle}", resource.word()));
    format!("{} of the rows cannot be restored:{}", obstacles.len(), lines.collect::<String>())
}

fn refused(problem: impl Display) -> MaintenanceError {
    MaintenanceError::refused("restored", problem)
}

fn count(deletion: &Shown, resource: Resource) -> String {
    let rows = match deletion.target_ids.len() {
        1 => "1 row".to_owned(),
        count => format!("{count} rows"),
    };
    format!("{rows} ({}) of customer {}", resource.word(), deletion.customer_id)
}
