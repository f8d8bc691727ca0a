//! The database for DBAs: schema, roles, statements, migrations, restore, purge, legal holds, verify, history and events.

mod encoding;
mod guards;
mod history;
mod holds;
pub mod in_use;
mod ledger;
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
