//! The management port's health checks: whether the process runs, and whether it can serve calls.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::requester::Identification;
use crate::repository::Repository;
use crate::telemetry::metrics;
use crate::telemetry::outage::Outage;

pub struct Health {
    pub repository: Repository,
    identification: Identification,
    draining: CancellationToken,
    database_outage: Outage,
}

#[derive(Serialize)]
struct State {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Health {
    pub fn new(repository: Repository, identification: Identification) -> Health {
        Health { repository, identification, draining: CancellationToken::new(), database_outage: Outage::default() }
    }

    /// Makes the readiness check fail from now on.
    pub fn start_draining(&self) {
        self.draining.cancel();
        metrics::ready(false);
    }

    /// Checks whether a deletion could be done now, and updates the metric. The upkeep calls it
    /// too, in case nothing probes the service.
    pub async fn state(&self) -> Result<(), String> {
        let state = self.check().await;
        metrics::ready(state.is_ok());
        state
    }

    async fn check(&self) -> Result<(), String> {
        let checked = async {
            let (identification, database) = (self.identification.check(), self.check_database().await);
            identification.and(database)
        };
        // Draining interrupts a check, which may wait for calls in flight.
        let ended = self.draining.run_until_cancelled(checked).await;
        ended.unwrap_or_else(|| Err("the service is shutting down".to_owned()))
    }

    async fn check_database(&self) -> Result<(), String> {
        let checked = self.repository.check().await.map_err(|error| error.to_string());
        let (begin, end) =
            ("the database cannot be used, and calls are answered 503", "the database can be used again");
        self.database_outage.report(&checked, begin, end);
        checked
    }
}

/// `GET /health/live`
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(State { status: "UP", reason: None })
}

/// `GET /health/ready`: 200 if a deletion could be done now, else 503 with the reason.
pub async fn ready(health: Data<Health>) -> HttpResponse {
    match health.state().await {
        Ok(()) => HttpResponse::Ok().json(State { status: "UP", reason: None }),
        Err(reason) => HttpResponse::ServiceUnavailable().json(State { status: "DOWN", reason: Some(reason) }),
    }
}
