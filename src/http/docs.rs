//! The API for people and tools: the OpenAPI document, and a page that shows it. The page works without internet.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, LazyLock};

use actix_web::body::{MessageBody, SizedStream};
use actix_web::http::header;
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use futures_util::stream;
use utoipa_swagger_ui::Config;

use super::{Identification, Limits, Service, no_such_route, openapi};
use crate::error::Error;

/// The OpenAPI document as it is sent. Cheap to clone.
#[derive(Clone)]
pub struct Document(Bytes);

impl Document {
    /// Of a service that identifies its callers like this, and has these limits.
    pub fn new(identification: &Identification, limits: Limits) -> Document {
        Document(Bytes::from(openapi::document(identification.into(), limits, "/").to_string()))
    }
}

/// `GET /openapi.json`
pub async fn document(service: Data<Service>) -> HttpResponse {
    // Pages and tools of other origins may read what everybody may read.
    let mut answer = answer("application/json");
    answer.insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")).body(service.document.0.clone())
}

/// `GET /docs`
pub async fn page() -> HttpResponse {
    /// What the page does is in files of its own, and it loads and calls nothing elsewhere.
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                          connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    let mut answer = answer("text/html; charset=utf-8");
    answer.insert_header((header::CONTENT_SECURITY_POLICY, POLICY)).body(include_str!("docs/page.html"))
}

/// `GET /docs/{file}`: what the page is made of.
pub async fn file(request: HttpRequest, file: Path<String>) -> Result<HttpResponse, Error> {
    match file.as_str() {
        "" => {
            let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
            let page = format!("../docs{query}");
            Ok(HttpResponse::PermanentRedirect().insert_header((header::LOCATION, page)).finish())
        }
        "start.js" => Ok(answer("text/javascript; charset=utf-8").body(include_str!("docs/start.js"))),
        part if PART_NAMES.contains(&part) => swagger_ui(part),
        _ => no_such_route().await,
    }
}

const PART_NAMES: [&str; 3] = ["swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"];

/// A part of Swagger UI, as it is sent.
struct Part {
    content_type: String,
    gzipped: bool,
    bytes: Bytes,
}

/// A part of Swagger UI, which the binary keeps compressed. There is one copy of it, for every reader.
fn swagger_ui(name: &str) -> Result<HttpResponse, Error> {
    static PARTS: LazyLock<Result<HashMap<&str, Part>, String>> =
        LazyLock::new(|| PART_NAMES.map(part).into_iter().collect());

    let parts = PARTS.as_ref().map_err(|error| Error::Defect(error.clone()))?;
    let part = parts.get(name).ok_or_else(|| Error::Defect(format!("Swagger UI has no {name}")))?;
    let mut answer = answer(&part.content_type);
    if part.gzipped {
        answer.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    Ok(answer.body(in_slices(part.bytes.clone())))
}

fn part(name: &'static str) -> Result<(&'static str, Part), String> {
    let file = utoipa_swagger_ui::serve(name, Arc::new(Config::default())).map_err(|error| error.to_string())?;
    let file = file.ok_or_else(|| format!("Swagger UI has no {name}"))?;
    let part =
        Part { content_type: file.content_type, gzipped: file.gzpipped, bytes: Bytes::from(file.bytes.into_owned()) };
    Ok((name, part))
}

/// The library copies what it is about to send: a slice at a time, so that a slow reader costs little memory.
fn in_slices(bytes: Bytes) -> impl MessageBody {
    const SLICE: usize = 16 * 1024;
    let length = bytes.len();
    let slices = (0..length).step_by(SLICE).map(move |from| bytes.slice(from..length.min(from + SLICE)));
    SizedStream::new(length as u64, stream::iter(slices.map(Ok::<Bytes, Infallible>)))
}

fn answer(content_type: &str) -> HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer
        .content_type(content_type)
        // All of it changes with the service.
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"));
    answer
}
