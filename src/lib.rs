//! `customer-deletion` deletes what a customer manages on a telecom platform: contacts, addresses, external params, zones
//! and products. Softly, all or nothing, and only where the requester stands in the right place of the tree of customers.
//!
//! A call comes in through [`http`], which knows URLs and bodies but no SQL. It goes on as a [`operation::Deletion`] to the
//! [`repository`], which knows SQL but no URLs, and tries it in one statement. What did not go through is judged by
//! [`eligibility`], with the two tables of the API documents: [`resource`] and [`error`]. A call whose caller does not wait is recorded and queued, and a worker of the [`queue`] does the same with it later.
//!
//! Around that: [`config`] reads the settings, [`telemetry`] writes logs, [`server`] listens, [`schema`] migrates,
//! [`maintenance`] restores, purges and verifies, and [`demo`] shows it all on a machine that has nothing.

mod closed_set;

pub mod config;
pub mod demo;
pub mod eligibility;
pub mod error;
pub mod healthcheck;
pub mod http;
pub mod maintenance;
pub mod operation;
mod output;
pub mod private_postgres;
pub mod queue;
pub mod repository;
pub mod resource;
pub mod schema;
pub mod server;
pub mod telemetry;
