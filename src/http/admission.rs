//! Limits the calls in flight, and the rate of each requester.
//!
//! A call over a limit is refused at once. In a queue, calls would wait for others whose clients gave up long ago.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpResponse, web};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::call::Requester;
use super::connections::Connection;
use super::response;
use crate::error::Error;
use crate::telemetry::metrics::{self, InFlight, Limit};

/// How often the rate limiter forgets idle requesters.
pub const FORGET_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    pub max_in_flight: usize,
    /// The calls per second of one requester, and the size of a burst. `None` for no limit.
    pub rate: Option<(NonZeroU32, NonZeroU32)>,
}

/// The right of a call to be in flight. It is held until the work has ended, even if the client hangs up before.
#[derive(Clone)]
pub struct Permit {
    _held: Arc<(OwnedSemaphorePermit, InFlight)>,
}

/// The number of large bodies that may be in memory at once. Only calls with `Prefer: respond-async` may send them.
const LARGE_BODIES: usize = 4;

/// Cheap to clone.
#[derive(Clone)]
pub struct Admission {
    in_flight: Arc<Semaphore>,
    large_bodies: Arc<Semaphore>,
    /// Each takes a session for as long as many ordinary calls.
    long_validations: Arc<Semaphore>,
    rate: Option<Arc<DefaultKeyedRateLimiter<Uuid>>>,
}

impl Admission {
    pub fn new(capacity: Capacity) -> Admission {
        let rate = capacity.rate.map(|(rate, burst)| {
            let quota = Quota::per_second(rate).allow_burst(burst);
            Arc::new(RateLimiter::dashmap(quota))
        });
        let in_flight = Arc::new(Semaphore::new(capacity.max_in_flight));
        Admission {
            in_flight,
            large_bodies: Arc::new(Semaphore::new(LARGE_BODIES)),
            long_validations: Arc::new(Semaphore::new(1)),
            rate,
        }
    }

    /// Forgets requesters whose whole burst is available again.
    pub fn forget_idle_requesters(&self) {
        if let Some(rate) = &self.rate {
            rate.retain_recent();
            rate.shrink_to_fit();
        }
    }

    /// Returns `None` if every permit is taken.
    fn in_flight_permit(&self) -> Option<Permit> {
        let permit = Arc::clone(&self.in_flight).try_acquire_owned().ok()?;
        Some(Permit { _held: Arc::new((permit, InFlight::begin())) })
    }

    pub fn large_body_permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.large_bodies).try_acquire_owned().map_err(|_| {
            metrics::rejected(Limit::LargeBodies);
            Error::Unavailable("too many large bodies are being read".to_owned())
        })
    }

    /// For the validation of a list that is longer than a call may send that waits for its outcome.
    pub fn long_validation_permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.long_validations).try_acquire_owned().map_err(|_| {
            metrics::rejected(Limit::LongValidations);
            Error::Unavailable("another long list is being validated".to_owned())
        })
    }

    fn within_rate(&self, requester: Requester) -> Result<(), Error> {
        let Some(rate) = &self.rate else { return Ok(()) };
        rate.check_key(&requester.0).map_err(|not_until| {
            metrics::rejected(Limit::Rate);
            Error::TooManyRequests(not_until.wait_time_from(DefaultClock::default().now()))
        })
    }
}

/// Gives the call a permit, or answers 429 or 503.
pub async fn admit(
    admission: web::Data<Admission>,
    requester: web::ReqData<Requester>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, actix_web::Error> {
    if let Err(error) = admission.within_rate(*requester) {
        return Ok(response::refuse(request, HttpResponse::from_error(error)));
    }
    let Some(permit) = admission.in_flight_permit() else {
        metrics::rejected(Limit::InFlight);
        let error = Error::Unavailable("too many calls are in flight".to_owned());
        return Ok(response::refuse(request, HttpResponse::from_error(error)));
    };
    if let Some(connection) = request.conn_data::<Arc<Connection>>() {
        connection.work();
    }
    request.extensions_mut().insert(permit);
    next.call(request).await.map(ServiceResponse::map_into_left_body)
}
