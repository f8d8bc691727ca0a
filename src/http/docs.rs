//! The API for people and tools: the OpenAPI document, and a page that shows it. The page works without internet.

use std::sync::{Arc, LazyLock};

use actix_web::http::header;
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpResponse, HttpResponseBuilder};
use utoipa_swagger_ui::Config;

use super::{Identification, Limits, Service, no_such_route, openapi};
use crate::error::Error;

/// The OpenAPI document as it is sent. Cheap to clone.
#[derive(Clone)]
pub struct Document(Bytes);

impl Document {
    /// Of a service that identifies its callers like this, and has these limits.
    pub fn new(identification: &Identification, limits: Limits) -> Document {
        let document = openapi::document(identification.into(), limits);
        Document(Bytes::from(document.to_json().expect("the document is JSON")))
    }
}

/// `GET /openapi.json`
pub async fn document(service: Data<Service>) -> HttpResponse {
    // Pages and tools of other origins may read what everybody may read.
    let mut answer = answer("application/json", REVALIDATED);
    answer.insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")).body(service.document.0.clone())
}

/// `GET /docs`
pub async fn page() -> HttpResponse {
    /// What the page does is in files of its own, and it loads and calls nothing elsewhere.
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                          connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    let mut answer = answer("text/html; charset=utf-8", REVALIDATED);
    answer.insert_header((header::CONTENT_SECURITY_POLICY, POLICY)).body(include_str!("docs/page.html"))
}

/// `GET /docs/{file}`: what the page is made of.
pub async fn file(file: Path<String>) -> Result<HttpResponse, Error> {
    match file.as_str() {
        "" => Ok(HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "../docs")).finish()),
        "start.js" => Ok(answer("text/javascript; charset=utf-8", REVALIDATED).body(include_str!("docs/start.js"))),
        "swagger-ui.css" | "swagger-ui-bundle.js" | "favicon-32x32.png" => swagger_ui(&file),
        _ => no_such_route().await,
    }
}

/// The page and the document change with the service.
const REVALIDATED: &str = "no-cache";

/// The parts of Swagger UI change with its version only.
const KEPT: &str = "public, max-age=86400";

/// A part of Swagger UI, which the binary keeps compressed.
fn swagger_ui(name: &str) -> Result<HttpResponse, Error> {
    static CONFIG: LazyLock<Arc<Config>> = LazyLock::new(|| Arc::new(Config::default()));

    let file = utoipa_swagger_ui::serve(name, CONFIG.clone()).map_err(|error| Error::Defect(error.to_string()))?;
    let file = file.ok_or_else(|| Error::Defect(format!("Swagger UI has no {name}")))?;
    let mut answer = answer(&file.content_type, KEPT);
    if file.gzpipped {
        answer.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    Ok(answer.body(file.bytes.into_owned()))
}

fn answer(content_type: &str, caching: &'static str) -> HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer
        .content_type(content_type)
        .insert_header((header::CACHE_CONTROL, caching))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"));
    answer
}
