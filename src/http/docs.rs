//! The OpenAPI document, and a page that shows it without internet.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, LazyLock};

use actix_web::http::header::{self, ETag, EntityTag, HeaderValue, IfNoneMatch};
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use utoipa_swagger_ui::Config;

use super::Service;
use super::openapi;
use super::request::CallLimits;
use super::requester::Identification;
use super::routing::no_such_route;
use crate::error::Error;

/// The OpenAPI document, serialized when it is first asked for.
pub struct Document(LazyLock<File, Box<dyn FnOnce() -> File + Send>>);

impl Document {
    pub fn new(identification: &Identification, limits: CallLimits) -> Document {
        let identification = identification.clone();
        Document(LazyLock::new(Box::new(move || {
            let (header, by_token) = match &identification {
                Identification::Header(source) => (Some(source.name.as_str()), false),
                Identification::Jwt(_) => (None, true),
            };
            File::new("application/json", openapi::document(header, by_token, limits, "/").to_string())
        })))
    }
}

/// `GET /openapi.json`
pub async fn document(service: Data<Service>, request: HttpRequest) -> HttpResponse {
    let mut response = service.document.0.response(&request);
    // The document is public, so any origin may read it.
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// `GET /docs`
pub async fn page(request: HttpRequest) -> HttpResponse {
    /// The page loads only its own files, and calls only this service.
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                          connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    static PAGE: LazyLock<File> =
        LazyLock::new(|| File::new("text/html; charset=utf-8", include_str!("docs/page.html")));

    let mut response = PAGE.response(&request);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

/// `GET /docs/{file}`
pub async fn file(request: HttpRequest, name: Path<String>) -> Result<HttpResponse, Error> {
    if name.is_empty() {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let page = format!("../docs{query}");
        return Ok(HttpResponse::PermanentRedirect().insert_header((header::LOCATION, page)).finish());
    }
    let files = FILES.as_ref().map_err(|error| Error::Defect(error.clone()))?;
    match files.get(name.as_str()) {
        Some(file) => Ok(file.response(&request)),
        None => no_such_route().await,
    }
}

/// The files of the page, by name.
static FILES: LazyLock<Result<HashMap<&str, File>, String>> = LazyLock::new(|| {
    let own = [
        ("start.js", File::new("text/javascript; charset=utf-8", include_str!("docs/start.js"))),
        ("narrow.css", File::new("text/css; charset=utf-8", include_str!("docs/narrow.css"))),
    ];
    let vendored = ["swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"].map(swagger_ui);
    own.map(Ok).into_iter().chain(vendored).collect()
});

/// Reads a file of Swagger UI, which is compressed in the binary.
fn swagger_ui(name: &'static str) -> Result<(&'static str, File), String> {
    let file = utoipa_swagger_ui::serve(name, Arc::new(Config::default())).map_err(|error| error.to_string())?;
    let file = file.ok_or_else(|| format!("Swagger UI has no {name}"))?;
    Ok((name, File { gzipped: file.gzpipped, ..File::new(&file.content_type, file.bytes.into_owned()) }))
}

struct File {
    content_type: String,
    gzipped: bool,
    bytes: Bytes,
    /// Changes with the bytes.
    tag: EntityTag,
}

impl File {
    fn new(content_type: &str, bytes: impl Into<Bytes>) -> File {
        let bytes = bytes.into();
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let tag = EntityTag::new_strong(format!("{:016x}", hasher.finish()));
        File { content_type: content_type.to_owned(), gzipped: false, bytes, tag }
    }

    /// Answers 304 without the bytes if the client has them.
    fn response(&self, request: &HttpRequest) -> HttpResponse {
        let unchanged = self.is_known_to(request);
        let mut response = if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        response
            .insert_header(ETag(self.tag.clone()))
            // A new version of the service may change the file, so a client must ask each time.
            .insert_header((header::CACHE_CONTROL, "no-cache"))
            .insert_header((header::REFERRER_POLICY, "no-referrer"));
        if unchanged {
            return response.finish();
        }
        if self.gzipped {
            response.insert_header((header::CONTENT_ENCODING, "gzip"));
        }
        response.content_type(self.content_type.as_str()).body(self.bytes.clone())
    }

    /// Compares weakly, because a proxy that compresses a response weakens its tag.
    fn is_known_to(&self, request: &HttpRequest) -> bool {
        match header::Header::parse(request) {
            Ok(IfNoneMatch::Any) => true,
            Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|tag| tag.weak_eq(&self.tag)),
            Err(_) => false,
        }
    }
}
