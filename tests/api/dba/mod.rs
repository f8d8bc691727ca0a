//! The database as DBAs meet it: schema, roles, statements, migrations, restore, purge, legal holds, verify, history and events.

mod encoding;
mod guards;
mod history;
mod holds;
mod ledger;
pub mod live;
pub mod maintenance;
mod newer_build;
mod old_server;
mod operators;
mod planted;
mod publication;
mod purge_one;
pub mod roles;
mod rollbacks;
mod schema;
pub mod statements;
mod twins;
mod verify;

use std::time::{Duration, Instant};

/// Waits for what must come, however busy the machine is.
pub async fn until<F: Future<Output = bool>>(comes: impl Fn() -> F) {
    let began = Instant::now();
    while !comes().await {
        assert!(began.elapsed() < Duration::from_secs(20), "it does not come");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
