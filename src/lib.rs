//! `customer-deletion` deletes five resources of the customers of a telecom platform: contacts,
//! addresses, external params, zones and products. A deletion is soft, and all or nothing. It is
//! allowed for certain customers in the requester's tree.
//!
//! [`http`] parses a call into an [`operation::Deletion`]. The [`repository`] tries it in one
//! statement. If that deletes nothing, [`eligibility`] finds the rule that refuses it, using the
//! tables of the API documents: [`resource`] and [`error`]. A call with `Prefer: respond-async` is
//! recorded in the [`queue`], whose worker runs it later.
//!
//! Around these, [`config`] reads the settings, [`limits`] fits them into the container,
//! [`telemetry`] has logs, metrics and traces, [`server`] listens, [`schema`] migrates,
//! [`maintenance`] restores, purges and verifies, and [`demo`] runs the service on a
//! [`private_postgres`].

mod backoff;
mod closed_set;
#[cfg(test)]
mod documents_tests;

pub mod config;
pub mod demo;
pub mod eligibility;
pub mod error;
pub mod healthcheck;
pub mod http;
pub mod id_failure;
#[cfg(test)]
mod import_circles;
pub mod limits;
pub mod maintenance;
pub mod operation;
mod output;
pub mod private_postgres;
pub mod queue;
pub mod repository;
pub mod resource;
pub mod schema;
pub mod server;
mod sqlstate;
pub mod telemetry;
