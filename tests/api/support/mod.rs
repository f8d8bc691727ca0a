//! What the tests share: a PostgreSQL, a database and a service for each test, and a small tree of customers.

pub mod database;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod service;
pub mod world;

pub use self::database::TestDatabase;
pub use self::service::{Answer, TestService};
pub use self::world::World;

use uuid::Uuid;

/// The ids as the body of a list deletion.
pub fn body(ids: &[Uuid]) -> String {
    serde_json::json!({ "id": ids }).to_string()
}
