//! The API for people and tools: the OpenAPI document, and a page that shows it. The page works without internet.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, LazyLock};

use actix_web::body::SizedStream;
use actix_web::http::header::{self, ETag, EntityTag, HeaderValue, IfNoneMatch};
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;
use utoipa_swagger_ui::Config;

use super::{Identification, Limits, Service, no_such_route, openapi};
use crate::error::Error;

/// The OpenAPI document as it is sent. Cheap to clone.
#[derive(Clone)]
pub struct Document(Arc<File>);

impl Document {
    /// Of a service that identifies its callers like this, and has these limits.
    pub fn new(identification: &Identification, limits: Limits) -> Document {
        let document = openapi::document(identification.into(), limits, "/").to_string();
        Document(Arc::new(File::new("application/json", document)))
    }
}

/// `GET /openapi.json`
pub async fn document(service: Data<Service>, request: HttpRequest) -> HttpResponse {
    let mut response = service.document.0.answer(&request);
    // Pages and tools of other origins may read what everybody may read.
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// `GET /docs`
pub async fn page(request: HttpRequest) -> HttpResponse {
    /// What the page does is in files of its own, and it loads and calls nothing elsewhere.
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                          connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    static PAGE: LazyLock<File> =
        LazyLock::new(|| File::new("text/html; charset=utf-8", include_str!("docs/page.html")));

    let mut response = PAGE.answer(&request);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

/// `GET /docs/{file}`: a file that the page needs.
pub async fn file(request: HttpRequest, name: Path<String>) -> Result<HttpResponse, Error> {
    if name.is_empty() {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let page = format!("../docs{query}");
        return Ok(HttpResponse::PermanentRedirect().insert_header((header::LOCATION, page)).finish());
    }
    let files = FILES.as_ref().map_err(|error| Error::Defect(error.clone()))?;
    match files.get(name.as_str()) {
        Some(file) => Ok(file.answer(&request)),
        None => no_such_route().await,
    }
}

/// The files that the page needs, by their names. There is one copy of each, for every reader.
static FILES: LazyLock<Result<HashMap<&str, File>, String>> = LazyLock::new(|| {
    let own = [
        ("start.js", File::new("text/javascript; charset=utf-8", include_str!("docs/start.js"))),
        ("narrow.css", File::new("text/css; charset=utf-8", include_str!("docs/narrow.css"))),
    ];
    let vendored = ["swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"].map(swagger_ui);
    own.map(Ok).into_iter().chain(vendored).collect()
});

/// A file of Swagger UI, which the binary keeps compressed.
fn swagger_ui(name: &'static str) -> Result<(&'static str, File), String> {
    let file = utoipa_swagger_ui::serve(name, Arc::new(Config::default())).map_err(|error| error.to_string())?;
    let file = file.ok_or_else(|| format!("Swagger UI has no {name}"))?;
    Ok((name, File { gzipped: file.gzpipped, ..File::new(&file.content_type, file.bytes.into_owned()) }))
}

/// A file as it is sent.
struct File {
    content_type: String,
    gzipped: bool,
    bytes: Bytes,
    /// A hash of the bytes. It only has to change with them.
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

    /// 304 without the bytes if the reader has them already.
    fn answer(&self, request: &HttpRequest) -> HttpResponse {
        let unchanged = self.is_known_to(request);
        let mut response = if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        response
            .insert_header(ETag(self.tag.clone()))
            // A new version of the service may change any of them, so a reader asks each time.
            .insert_header((header::CACHE_CONTROL, "no-cache"))
            .insert_header((header::REFERRER_POLICY, "no-referrer"));
        if unchanged {
            return response.finish();
        }
        if self.gzipped {
            response.insert_header((header::CONTENT_ENCODING, "gzip"));
        }
        response.content_type(self.content_type.as_str()).body(in_slices(self.bytes.clone()))
    }

    /// A proxy that compresses an answer weakens its tag, so the comparison is the weak one.
    fn is_known_to(&self, request: &HttpRequest) -> bool {
        match header::Header::parse(request) {
            Ok(IfNoneMatch::Any) => true,
            Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|tag| tag.weak_eq(&self.tag)),
            Err(_) => false,
        }
    }
}

/// The library copies what it is about to send: a slice at a time, so that a slow reader costs little memory.
fn in_slices(bytes: Bytes) -> SizedStream<impl futures_util::Stream<Item = Result<Bytes, Infallible>>> {
    const SLICE: usize = 16 * 1024;
    let length = bytes.len();
    let slices = (0..length).step_by(SLICE).map(move |from| bytes.slice(from..length.min(from + SLICE)));
    SizedStream::new(length as u64, stream::iter(slices.map(Ok::<Bytes, Infallible>)))
}
