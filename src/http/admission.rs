//! Limits the calls in flight, the memory of bodies and answers, and the rate of each requester.
//!
//! A call over a limit is rejected immediately: in a queue it would wait for others whose clients
//! gave up long ago. There are two exceptions. A call that may not wait for an operation is
//! answered without the wait. Reads of outcomes are queued. One requester has only a portion of
//! each limit, so that it cannot keep others out. Only the reads of outcomes have no portions.

use std::future::{Ready, ready};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{BodySize, EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, web};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::Service;
use super::call::Requester;
use super::connections::Connection;
use super::portions::{NoneLeft, Portion, Portions};
use super::response::{self, Holding};
use crate::config::Settings;
use crate::error::Error;
use crate::limits::{LARGE_BODIES, Memory, max_waiting_calls};
use crate::telemetry::metrics::{self, Counted, Limit};

/// How often the rate limiter forgets idle requesters.
pub const FORGET_INTERVAL: Duration = Duration::from_secs(60);

/// A list counts as one call for every 100 ids, rounded up.
const IDS_OF_A_CALL: usize = 100;

/// The long lists that are validated at once. Each keeps a session for as long as many ordinary
/// calls do.
const LONG_VALIDATIONS: usize = 2;

/// The bytes of an id in an answer, with its quotes and its comma.
const ID_IN_ANSWER: usize = 39;

/// In bytes. A smaller answer takes none of the memory for answers.
const SMALL_ANSWER: usize = 16 * 1024;

/// The bytes of memory for each byte of an answer: the buffer into which it is written grows by
/// doubling.
const COST_OF_ANSWER: usize = 2;

/// The number of outcomes that are read at the same time, for calls that have waited.
const OUTCOMES: usize = 8;

/// The right of a call to be in flight. It is held until the work has ended, even if the client
/// hangs up before.
pub struct Permit {
    _portion: Portion,
    _in_flight: Counted,
}

/// The right to read the outcome of an awaited operation.
pub struct OutcomeTurn {
    _right_to_wait: Portion,
    _turn: OwnedSemaphorePermit,
}

pub struct Admission {
    in_flight: Portions,
    /// Only calls with `Prefer: respond-async` may send large bodies.
    large_bodies: Portions,
    long_validations: Portions,
    /// Callers that wait for the end of an operation are not in flight.
    waiting: Portions,
    /// The turns to read an outcome after a wait. Many calls may wait for the same end. Without
    /// this limit, their reads would take all sessions.
    outcomes: Arc<Semaphore>,
    /// The memory for bodies, in bytes.
    bodies: Portions,
    /// The memory for large answers, in bytes. One requester has only a part of it, because its
    /// clients may read slowly.
    answers: Portions,
    rate: Option<Rate>,
}

struct Rate {
    limiter: DefaultKeyedRateLimiter<Uuid>,
    burst: NonZeroU32,
}

impl Admission {
    pub fn new(settings: &Settings, max_connections: usize, memory: Memory) -> Admission {
        let max_in_flight = settings.http.max_in_flight;
        let max_waiting = max_waiting_calls(max_in_flight, max_connections);
        let rate = settings.requester.rate_per_second.map(|rate| {
            let burst = settings.requester.rate_burst.unwrap_or(rate);
            let quota = Quota::per_second(rate).allow_burst(burst);
            Rate { limiter: RateLimiter::dashmap(quota), burst }
        });
        Admission {
            in_flight: Portions::new(max_in_flight, two_thirds(max_in_flight)),
            large_bodies: Portions::new(LARGE_BODIES, LARGE_BODIES / 2),
            long_validations: Portions::new(LONG_VALIDATIONS, LONG_VALIDATIONS / 2),
            outcomes: Arc::new(Semaphore::new(OUTCOMES)),
            waiting: Portions::new(max_waiting, two_thirds(max_waiting)),
            bodies: Portions::new(memory.bodies, memory.bodies / 2),
            answers: Portions::new(memory.answers, memory.answers / 2),
            rate,
        }
    }

    /// Forgets requesters whose whole burst is available again.
    pub fn forget_idle_requesters(&self) {
        if let Some(Rate { limiter, .. }) = &self.rate {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }

    /// Takes a permit. A call whose body is needed takes it once the body has arrived.
    pub fn permit(&self, request: &HttpRequest, requester: Requester) -> Result<Permit, Error> {
        let portion = self.in_flight.take(requester.0, 1);
        let portion = portion.map_err(rejected(Limit::InFlight, "too many calls are in flight"))?;
        if let Some(connection) = request.conn_data::<Arc<Connection>>() {
            connection.work();
        }
        Ok(Permit { _portion: portion, _in_flight: Counted::in_flight() })
    }

    /// Takes the right to wait for the end of an operation. Returns `None` if the requester's portion
    /// or the whole limit is used up.
    pub fn take_right_to_wait(&self, requester: Requester) -> Option<Portion> {
        self.waiting.take(requester.0, 1).ok()
    }

    /// Waits until fewer than [`OUTCOMES`] outcomes are being read. The call keeps its right to
    /// wait, because a permit could be refused.
    pub async fn outcome_turn(&self, right_to_wait: Portion) -> OutcomeTurn {
        let turn = Arc::clone(&self.outcomes).acquire_owned().await.expect("the semaphore is never closed");
        OutcomeTurn { _right_to_wait: right_to_wait, _turn: turn }
    }

    pub fn take_large_body(&self, requester: Requester) -> Result<Portion, Error> {
        let portion = self.large_bodies.take(requester.0, 1);
        portion.map_err(rejected(Limit::LargeBodies, "too many large bodies are being read"))
    }

    /// Takes the right to validate a list that is too long for a call without `Prefer:
    /// respond-async`.
    pub fn take_long_validation(&self, requester: Requester) -> Result<Portion, Error> {
        let portion = self.long_validations.take(requester.0, 1);
        portion.map_err(rejected(Limit::LongValidations, "too many long lists are being validated"))
    }

    /// Takes more bytes for a body.
    pub fn take_body_memory(
        &self,
        requester: Requester,
        taken: &mut Option<Portion>,
        bytes: usize,
    ) -> Result<(), Error> {
        let more = match taken {
            Some(portion) => portion.grow(bytes),
            None => self.bodies.take(requester.0, bytes).map(|portion| *taken = Some(portion)),
        };
        more.map_err(rejected(Limit::Memory, "too many bodies are in memory"))
    }

    /// Takes the memory for ids that are about to be read for an answer.
    pub fn room_for_ids(&self, requester: Requester, ids: usize) -> Result<Option<Portion>, Error> {
        self.take_answer_memory_or_reject(requester, ids.saturating_mul(ID_IN_ANSWER))
    }

    fn take_answer_memory_or_reject(&self, requester: Requester, bytes: usize) -> Result<Option<Portion>, Error> {
        let memory = self.take_answer_memory(requester, bytes);
        memory.map_err(rejected(Limit::Memory, "too many large answers are in memory"))
    }

    /// Takes the memory of a large answer until it is sent.
    pub fn hold_answer(&self, requester: Requester, answer: HttpResponse) -> Result<HttpResponse, Error> {
        let BodySize::Sized(size) = answer.body().size() else { return Ok(answer) };
        Ok(match self.take_answer_memory_or_reject(requester, usize::try_from(size).unwrap_or(usize::MAX))? {
            Some(memory) => answer.map_body(|_, body| Holding { body, _held: memory }).map_into_boxed_body(),
            None => answer,
        })
    }

    /// Takes the memory of an answer. A small one takes none.
    pub fn take_answer_memory(&self, requester: Requester, bytes: usize) -> Result<Option<Portion>, NoneLeft> {
        if bytes < SMALL_ANSWER {
            return Ok(None);
        }
        self.answers.take(requester.0, bytes.saturating_mul(COST_OF_ANSWER)).map(Some)
    }

    /// Counts the ids of a list beyond the first 100; the call itself is counted already. The
    /// longest list costs no more than a whole burst, so that it can be sent.
    pub fn count_ids(&self, requester: Requester, ids: usize) -> Result<(), Error> {
        let Some(rate) = &self.rate else { return Ok(()) };
        let more = u32::try_from(ids.saturating_sub(1) / IDS_OF_A_CALL).unwrap_or(u32::MAX).min(rate.burst.get() - 1);
        NonZeroU32::new(more).map_or(Ok(()), |calls| rate.count(requester, calls))
    }
}

impl Rate {
    fn count(&self, requester: Requester, calls: NonZeroU32) -> Result<(), Error> {
        // The outer result is an error only if `calls` exceeds the burst. `count_ids` never asks
        // for more.
        self.limiter.check_key_n(&requester.0, calls).unwrap_or(Ok(())).map_err(|not_until| {
            metrics::rejected(Limit::Rate);
            Error::TooManyRequests(not_until.wait_time_from(DefaultClock::default().now()))
        })
    }
}

/// Takes a permit for a handler that does not need the body.
impl FromRequest for Permit {
    type Error = Error;
    type Future = Ready<Result<Permit, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let requester = request.extensions().get::<Requester>().copied();
        let service = request.app_data::<web::Data<Service>>();
        let (Some(requester), Some(service)) = (requester, service) else {
            return ready(Err(Error::Defect("the route has no requester or no service state".to_owned())));
        };
        ready(service.admission.permit(request, requester))
    }
}

/// Two thirds, but at least one.
fn two_thirds(of: usize) -> usize {
    (of * 2).div_ceil(3)
}

fn rejected(limit: Limit, reason: &'static str) -> impl FnOnce(NoneLeft) -> Error {
    move |none_left| match none_left {
        NoneLeft::ForAnybody => {
            metrics::rejected(limit);
            Error::Unavailable(reason.to_owned())
        }
        NoneLeft::ForThisRequester => {
            metrics::rejected(Limit::Portion);
            Error::OverPortion(reason)
        }
    }
}

/// Answers 429 if the requester calls more often than it may.
pub async fn admit(
    service: web::Data<Service>,
    requester: web::ReqData<Requester>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, actix_web::Error> {
    let counted = service.admission.rate.as_ref().map_or(Ok(()), |rate| rate.count(*requester, NonZeroU32::MIN));
    response::pass_or_reject(request, next, counted).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = 20 * 1024;

    fn admission() -> Admission {
        let memory = Memory { bodies: 100, heads: 0, answers: 5 * LARGE };
        Admission::new(&Settings::default(), 1024, memory)
    }

    fn answer(size: usize) -> HttpResponse {
        HttpResponse::Ok().body("x".repeat(size))
    }

    #[test]
    fn large_answers_are_bounded_until_they_are_sent_and_small_ones_are_not() {
        let admission = admission();
        let hold = |id, size| admission.hold_answer(Requester(Uuid::from_u128(id)), answer(size));
        let large = hold(1, LARGE).unwrap();
        assert!(matches!(hold(1, LARGE), Err(Error::OverPortion(_))));
        assert!(hold(1, 1024).is_ok());
        let of_other = hold(2, LARGE).unwrap();
        assert!(matches!(hold(3, LARGE), Err(Error::Unavailable(_))));
        drop((large, of_other));
        assert!(hold(1, LARGE).is_ok());
    }

    #[test]
    fn the_bodies_of_one_requester_take_half_of_the_memory() {
        let admission = admission();
        let [one, other, third] = [1, 2, 3].map(|id| Requester(Uuid::from_u128(id)));
        let (mut of_one, mut of_other) = (None, None);
        admission.take_body_memory(one, &mut of_one, 30).unwrap();
        assert!(matches!(admission.take_body_memory(one, &mut of_one, 30), Err(Error::OverPortion(_))));
        admission.take_body_memory(one, &mut of_one, 20).unwrap();
        admission.take_body_memory(other, &mut of_other, 40).unwrap();
        assert!(matches!(admission.take_body_memory(third, &mut None, 20), Err(Error::Unavailable(_))));
        drop(of_one);
        admission.take_body_memory(third, &mut None, 20).unwrap();
    }
}
