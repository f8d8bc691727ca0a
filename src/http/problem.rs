//! Failures as problems (RFC 9457), for the callers that prefer them to the envelope.

use actix_web::dev::ServiceResponse;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::web::{self, Bytes};
use actix_web::{HttpMessage, ResponseError};
use serde::Serialize;
use uuid::Uuid;

use super::Service;
use super::call::Requester;
use super::failures::FailureContent;
use super::negotiation::PROBLEM;
use super::portions::{NoneLeft, Portion};
use crate::error::Error;
use crate::id_failure::IdFailure;

/// The prefix of a problem's type. The code follows. The type is a name, not a URL.
pub const TYPE_PREFIX: &str = "urn:problem-type:customer-deletion:";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem<'a> {
    r#type: String,
    /// The same for every problem of a type.
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: String,
    error_code: &'a str,
    /// The member is left out if no id is refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failures: Vec<FailureContent>,
}

impl Problem<'_> {
    pub fn of(error: &Error, request_id: Uuid) -> Problem<'_> {
        Problem {
            r#type: format!("{TYPE_PREFIX}{}", error.code_name()),
            title: error.title(),
            status: error.status_code().as_u16(),
            detail: error.message(),
            instance: format!("urn:uuid:{request_id}"),
            error_code: error.code_name(),
            failures: Vec::new(),
        }
    }
}

/// Turns a failed response into a problem. Sets the content type. Returns the text of the problem,
/// and the memory that the text takes. Returns `None` if the response is not a failure.
pub fn take_place_of_envelope<B>(
    response: &mut ServiceResponse<B>,
    request_id: Uuid,
) -> Option<(Bytes, Option<Portion>)> {
    let failures = response.response_mut().extensions_mut().remove::<Vec<IdFailure>>().unwrap_or_default();
    let error = response.response().error().and_then(|error| error.as_error::<Error>())?;
    let failures = failures.into_iter().map(FailureContent::from).collect();
    let problem = Problem { failures, ..Problem::of(error, request_id) };
    let text = serde_json::to_vec(&problem).expect("a problem is JSON");
    let service = response.request().app_data::<web::Data<Service>>();
    // Without a requester, no id was refused, so the text is short.
    let requester = response.request().extensions().get::<Requester>().copied();
    let memory = service
        .zip(requester)
        .map_or(Ok(None), |(service, requester)| service.admission.take_answer_memory(requester, text.len()));
    let (text, memory) = match memory {
        Ok(memory) => (text, memory),
        // A recorded operation still has the failures. A validation loses them.
        Err(NoneLeft::ForAnybody | NoneLeft::ForThisRequester) => {
            (serde_json::to_vec(&Problem::of(error, request_id)).expect("a problem is JSON"), None)
        }
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
    Some((text.into(), memory))
}

#[cfg(test)]
mod tests {
    use actix_web::HttpResponse;
    use actix_web::http::header::HeaderName;
    use actix_web::test::TestRequest;
    use serde_json::Value;
    use sqlx::postgres::PgConnectOptions;

    use super::*;
    use crate::config::{AllowedOrigins, HeaderSource, Settings};
    use crate::error::Code;
    use crate::http::{Admission, CallLimits, Document, Identification};
    use crate::limits::Memory;
    use crate::repository::Repository;

    fn service(answers: usize) -> Service {
        let settings = Settings::default();
        let name = HeaderName::from_static("requester");
        let identification = Identification::Header(HeaderSource { name, actor_name: None, trusted_peers: Vec::new() });
        let limits = CallLimits::from(&settings);
        Service {
            repository: Repository::new(&settings.database, &settings.queue, None, PgConnectOptions::new()),
            admission: Admission::new(&settings, 1024, Memory { bodies: 0, heads: 0, answers }),
            limits,
            allowed_hosts: None,
            document: Document::new(&identification, limits),
            identification,
            allowed_origins: AllowedOrigins::None,
        }
    }

    /// The number of failures in a problem of 500 refused ids, while large answers may take so many
    /// bytes.
    fn failures_within(bytes: usize) -> usize {
        let request = TestRequest::default().app_data(web::Data::new(service(bytes))).to_srv_request();
        request.extensions_mut().insert(Requester(Uuid::nil()));
        let refusal = HttpResponse::from_error(Error::refused(Code::CUSTOMER_1017));
        let mut response = ServiceResponse::new(request.into_parts().0, refusal);
        let failures: Vec<IdFailure> =
            (0..500).map(|id| IdFailure::new(Uuid::from_u128(id), Code::CUSTOMER_1017)).collect();
        response.response_mut().extensions_mut().insert(failures);
        let (text, memory) = take_place_of_envelope(&mut response, Uuid::nil()).unwrap();
        let problem: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(problem["errorCode"], "CUSTOMER_1017");
        let failures = problem.get("failures").map_or(0, |failures| failures.as_array().unwrap().len());
        assert_eq!(memory.is_some(), failures > 0);
        failures
    }

    #[tokio::test]
    async fn a_problem_has_its_failures_if_there_is_memory_for_them() {
        assert_eq!((failures_within(1 << 20), failures_within(0)), (500, 0));
    }
}
