//! Whether the process runs, and whether it should be sent calls.

use std::sync::Mutex;
use std::time::Instant;

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::Identification;
use crate::repository::Repository;
use crate::telemetry::metrics;
use crate::telemetry::outage::Outage;

/// What the management port tells of.
pub struct Health {
    repository: Repository,
    identification: Identification,
    draining: CancellationToken,
    /// Of the database.
    outage: Mutex<Outage>,
}

#[derive(Serialize)]
struct State {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Health {
    pub fn new(repository: Repository, identification: Identification) -> Health {
        Health { repository, identification, draining: CancellationToken::new(), outage: Mutex::default() }
    }

    /// From now on no new calls should be sent here.
    pub fn start_draining(&self) {
        self.draining.cancel();
        metrics::ready(false);
    }

    /// Puts the state of the connections into the metrics.
    pub fn count_connections(&self) {
        self.repository.count_connections();
    }

    /// Asks itself, for the metrics: not everybody has a probe that does.
    pub async fn ask(&self) {
        let _ = self.state().await;
    }

    async fn state(&self) -> Result<(), String> {
        let state = self.check().await;
        metrics::ready(state.is_ok());
        state
    }

    async fn check(&self) -> Result<(), String> {
        let checked = async {
            self.identification.check()?;
            self.check_database().await
        };
        // Also in the middle of a check, which may wait for the calls that are in flight.
        let ended = self.draining.run_until_cancelled(checked).await;
        ended.unwrap_or_else(|| Err("the service is shutting down".to_owned()))
    }

    /// Logs an outage. It is asked for every few seconds, whether or not there are calls.
    async fn check_database(&self) -> Result<(), String> {
        let checked = self.repository.check().await.map_err(|error| error.to_string());
        let news =
            self.outage.lock().expect("nothing panics while it holds this lock").note(checked.is_ok(), Instant::now());
        match (&checked, news) {
            (Err(reason), true) => tracing::warn!(reason, "the database cannot be used, and calls are answered 503"),
            (Ok(()), true) => tracing::info!("the database can be used again"),
            (_, false) => {}
        }
        checked
    }
}

/// `GET /health/live`: the process answers.
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(State { status: "UP", reason: None })
}

/// `GET /health/ready`: a deletion could be done now. If not, it says why.
pub async fn ready(health: Data<Health>) -> HttpResponse {
    match health.state().await {
        Ok(()) => HttpResponse::Ok().json(State { status: "UP", reason: None }),
        Err(reason) => HttpResponse::ServiceUnavailable().json(State { status: "DOWN", reason: Some(reason) }),
    }
}
