//! The OpenAPI document, made from the tables that the service works with: the resources, their rules, the codes.

mod answers;
mod calls;
mod deletions;
mod listing;
mod schemas;
mod shared;
mod words;

use utoipa::openapi::info::LicenseBuilder;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::server::Server;
use utoipa::openapi::tag::{Tag, TagBuilder};
use utoipa::openapi::{Components, ComponentsBuilder, Info, InfoBuilder, OpenApi, OpenApiBuilder};

use self::words::Words;
use super::{Identification, Limits};
use crate::config::Settings;
use crate::demo::world::NORDLICHT_TELEKOM;
use crate::resource::Resource;

/// The names of the two security schemes.
const REQUESTER_HEADER: &str = "requester";
const BEARER_TOKEN: &str = "bearer";

/// How a caller shows for whom it calls.
#[derive(Clone, Copy)]
pub enum Identity<'a> {
    /// By a header of this name.
    Header(&'a str),
    /// By a token.
    Bearer,
    /// Not settled: by a header of this name, or by a token.
    Either(&'a str),
}

impl<'a> From<&'a Identification> for Identity<'a> {
    fn from(identification: &'a Identification) -> Identity<'a> {
        match identification {
            Identification::Header { name, .. } => Identity::Header(name.as_str()),
            Identification::Jwt(_) => Identity::Bearer,
        }
    }
}

/// The document of a service without settings.
pub fn without_settings() -> OpenApi {
    let settings = Settings::default();
    document(Identity::Either(&settings.requester.header.name), Limits::from(&settings))
}

/// The document of a service that is set up like this.
pub fn document(identity: Identity, limits: Limits) -> OpenApi {
    OpenApiBuilder::new()
        .info(info())
        .servers(Some([Server::new("/")]))
        .paths(calls::paths(limits))
        .components(Some(components(identity, limits)))
        .security(Some(requirements(identity)))
        .tags(Some(tags()))
        .build()
}

fn components(identity: Identity, limits: Limits) -> Components {
    let components = ComponentsBuilder::new()
        .responses_from_iter(deletions::responses(limits))
        .responses_from_iter(calls::responses())
        .responses_from_iter(listing::responses())
        .responses_from_iter(shared::responses(limits));
    let components =
        schemas::all(limits).into_iter().fold(components, |components, (name, schema)| components.schema(name, schema));
    let components =
        answers::headers().into_iter().fold(components, |components, (name, header)| components.header(name, header));
    with_security_schemes(components.build(), identity)
}

fn info() -> Info {
    InfoBuilder::new()
        .title(env!("CARGO_PKG_NAME"))
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(include_str!("introduction.md")))
        .license(Some(LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build()))
        .build()
}

fn tags() -> Vec<Tag> {
    let tag = |name: &str, description: String| TagBuilder::new().name(name).description(Some(description)).build();
    let mut tags: Vec<Tag> = Resource::ALL
        .map(|resource| {
            let words = Words::of(resource);
            tag(resource.word(), format!("Deleting {}: {}.", words.plural, words.rule))
        })
        .into();
    tags.push(tag(calls::STATUS_TAG, "How a call ended, for the requester that made it.".to_owned()));
    tags
}

fn with_security_schemes(mut components: Components, identity: Identity) -> Components {
    let (header, bearer) = match identity {
        Identity::Header(name) => (Some(name), false),
        Identity::Bearer => (None, true),
        Identity::Either(name) => (Some(name), true),
    };
    if let Some(name) = header {
        let description = format!(
            "The id of the requester, which the gateway sets. It is believed only from the gateway's networks. In the demo it \
             is `{NORDLICHT_TELEKOM}`."
        );
        let scheme = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, &description)));
        components.add_security_scheme(REQUESTER_HEADER, scheme);
    }
    if bearer {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.bearer_format = Some("JWT".to_owned());
        scheme.description = Some("A signed token that has not expired. A claim of it names the requester.".to_owned());
        components.add_security_scheme(BEARER_TOKEN, SecurityScheme::Http(scheme));
    }
    components
}

/// Each is enough by itself.
fn requirements(identity: Identity) -> Vec<SecurityRequirement> {
    let requirement = |name: &str| SecurityRequirement::new(name, Vec::<String>::new());
    match identity {
        Identity::Header(_) => vec![requirement(REQUESTER_HEADER)],
        Identity::Bearer => vec![requirement(BEARER_TOKEN)],
        Identity::Either(_) => vec![requirement(REQUESTER_HEADER), requirement(BEARER_TOKEN)],
    }
}
