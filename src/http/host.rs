//! Protects a service that trusts this machine from web pages (DNS rebinding).
//!
//! A web page can make the name of its own host resolve to this machine. Its browser then lets it
//! call the service with any header, and read the answers. Such a call still has the page's host in
//! `Host`.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HOST;
use actix_web::http::uri::Authority;
use actix_web::middleware::Next;
use actix_web::web::Data;
use ipnet::IpNet;

use super::{Service, response};
use crate::config::{AllowedHosts, RequesterSource};
use crate::error::Error;

/// Refuses a call for a host that is not in the list, if there is a list. Relies on
/// [`super::framing`] for a valid `Host`.
pub async fn guard(
    service: Data<Service>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, actix_web::Error> {
    let is_allowed = service.allowed_hosts.as_ref().is_none_or(|hosts| is_for_one_of(&request, hosts));
    let refusal = || Error::bad_request("the `Host` header does not name a host of this service");
    response::pass_or_reject(request, next, is_allowed.then_some(()).ok_or_else(refusal)).await
}

fn is_for_one_of(request: &ServiceRequest, hosts: &AllowedHosts) -> bool {
    match request.headers().get(HOST) {
        Some(host) => host.to_str().is_ok_and(|host| host.parse().is_ok_and(|host: Authority| hosts.contain(&host))),
        None => request.uri().authority().is_some_and(|authority| hosts.contain(authority)),
    }
}

/// Warns if the settings allow DNS rebinding.
pub fn warn_of_rebinding(source: &RequesterSource, allowed: Option<&AllowedHosts>) {
    let RequesterSource::Header(source) = source else { return };
    if allowed.is_none() && source.trusted_peers.iter().any(includes_loopback) {
        tracing::warn!(
            "this machine is trusted and CUSTOMER_DELETION__HTTP__ALLOWED_HOSTS is not set: a web page that is open on this \
             machine can be any requester"
        );
    }
}

fn includes_loopback(network: &IpNet) -> bool {
    let loopback: [IpNet; 2] = [IpNet::V4(LOOPBACK_V4), IpNet::V6(LOOPBACK_V6)];
    loopback.iter().any(|loopback| loopback.contains(network) || network.contains(loopback))
}

const LOOPBACK_V4: ipnet::Ipv4Net = ipnet::Ipv4Net::new_assert(std::net::Ipv4Addr::new(127, 0, 0, 0), 8);
const LOOPBACK_V6: ipnet::Ipv6Net = ipnet::Ipv6Net::new_assert(std::net::Ipv6Addr::LOCALHOST, 128);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_with_this_machine_in_them_are_known() {
        for network in ["127.0.0.1/32", "127.0.0.0/8", "127.8.0.0/16", "0.0.0.0/0", "::1/128", "::/0"] {
            assert!(includes_loopback(&network.parse().unwrap()), "{network}");
        }
        for network in ["10.0.0.0/8", "128.0.0.0/8", "::2/128", "fd00::/8"] {
            assert!(!includes_loopback(&network.parse().unwrap()), "{network}");
        }
    }
}
