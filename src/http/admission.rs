//! Which calls are let in: no more at once than the service can work on, and no more of one requester than it may send.
//!
//! A call over a limit is turned away at once. A queue would only make every caller wait for those who gave up long ago.

use std::future::{Ready, ready};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, web};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::requester::Requester;
use super::{Service, answer};
use crate::error::Error;
use crate::telemetry::metrics::{self, InFlight, Limit};

/// How often requesters that did not call for a while are forgotten.
pub const FORGET_INTERVAL: Duration = Duration::from_secs(60);

/// How many calls are let in.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Calls that may be worked on at once.
    pub max_in_flight: usize,
    /// Calls a second of one requester, and how many of them may come at once; none for as many as come.
    pub rate: Option<(NonZeroU32, NonZeroU32)>,
}

/// The right of a call to be in flight. It is held until the work has ended, even if the client hangs up before.
#[derive(Clone)]
pub struct Permit {
    _held: Arc<(OwnedSemaphorePermit, InFlight)>,
}

impl FromRequest for Permit {
    type Error = Error;
    type Future = Ready<Result<Permit, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let permit = request.extensions().get::<Permit>().cloned();
        ready(permit.ok_or_else(|| Error::Defect("a call without a permit".to_owned())))
    }
}

/// Bodies that may be larger than those of calls that wait for their outcome, and be read at once: what bounds their memory.
const LARGE_BODIES: usize = 4;

/// Lets calls in. Cheap to clone.
#[derive(Clone)]
pub struct Admission {
    in_flight: Arc<Semaphore>,
    large_bodies: Arc<Semaphore>,
    /// They take the time of many calls, on the same sessions.
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

    /// Forgets the requesters whose next call would be let in as if it were their first.
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

    /// What a large body needs until the work for it has ended.
    pub fn large_body_permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.large_bodies).try_acquire_owned().map_err(|_| {
            metrics::rejected(Limit::LargeBodies);
            Error::Unavailable("too many large bodies are being read".to_owned())
        })
    }

    /// What the validation of a list needs that is too long for a call that waits for its outcome.
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

/// Lets a call in, or answers 429 or 503. Stands behind the identification.
pub async fn admit(
    service: web::Data<Service>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, actix_web::Error> {
    let admission = &service.admission;
    let requester = request.extensions().get::<Requester>().copied();
    let requester = requester.ok_or_else(|| Error::Defect("a call is let in before it is identified".to_owned()));
    if let Err(error) = requester.and_then(|requester| admission.within_rate(requester)) {
        return Ok(answer::refuse(request, HttpResponse::from_error(error)));
    }
    let Some(permit) = admission.in_flight_permit() else {
        metrics::rejected(Limit::InFlight);
        let error = Error::Unavailable("too many calls are in flight".to_owned());
        return Ok(answer::refuse(request, HttpResponse::from_error(error)));
    };
    request.extensions_mut().insert(permit);
    next.call(request).await.map(ServiceResponse::map_into_left_body)
}
