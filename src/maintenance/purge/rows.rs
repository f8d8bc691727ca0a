//! The rows that a batch is about, and the statement that erases them.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::kind::{Belonging, Kind};
use super::statements::{self, Batch, Due, Owner};
use crate::resource::Resource;

#[derive(Clone, Copy, Debug)]
pub enum Rows {
    Of(Resource, Due),
    Beside(Belonging, Owner),
    /// A customer that is deleted, or any.
    Customer {
        live_too: bool,
    },
    /// Operations that are older than this.
    Operations {
        before: OffsetDateTime,
    },
    /// The actors of operations, which stay.
    Actors,
    Restorations,
}

impl Rows {
    pub fn kind(self) -> Kind {
        match self {
            Rows::Of(resource, _) => Kind::Of(resource),
            Rows::Beside(belonging, _) => Kind::Beside(belonging),
            Rows::Customer { .. } => Kind::Customer,
            Rows::Operations { .. } => Kind::Operation,
            Rows::Actors => Kind::Actor,
            Rows::Restorations => Kind::Restoration,
        }
    }

    /// Erases the rows, or only counts them.
    pub async fn erase(self, tx: &mut PgConnection, ids: &[Uuid], only_count: bool) -> sqlx::Result<Batch> {
        let erased = match self {
            Rows::Of(resource, due) => return statements::erase(tx, resource, ids, due, only_count).await,
            _ if only_count => Vec::new(),
            Rows::Beside(kind, owner) => statements::erase_belongings(tx, kind, owner, ids).await?,
            Rows::Customer { live_too } => statements::erase_customers(tx, ids, live_too).await?,
            Rows::Operations { before } => statements::erase_operations(tx, ids, before).await?,
            Rows::Actors => statements::erase_actors(tx, ids).await?,
            Rows::Restorations => statements::erase_restorations(tx, ids).await?,
        };
        Ok(Batch { due: ids.len() as i64, erased, ..Batch::default() })
    }
}
