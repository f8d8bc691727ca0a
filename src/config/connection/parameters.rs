//! The parameters of a connection that are checked. docs/operating.md describes them.

use std::net::{IpAddr, Ipv6Addr};

pub const SEVERAL_HOSTS: &str =
    "has several hosts, which is not supported: use one address that leads to the server that takes writes";

/// A parameter of libpq, or of sqlx.
pub struct Parameter {
    pub name: &'static str,
    pub variable: Option<&'static str>,
    rule: Rule,
}

enum Rule {
    Any,
    /// A value that this function accepts.
    Valid(fn(&str) -> Result<(), &'static str>),
    /// One of the values that have no effect here. The text says what to do about another value.
    Only(&'static [&'static str], &'static str),
}

use Rule::{Any, Only, Valid};

pub const PARAMETERS: &[Parameter] = &[
    both("host", "PGHOST", Valid(host)),
    both("hostaddr", "PGHOSTADDR", Valid(address)),
    both("port", "PGPORT", Valid(port)),
    both("user", "PGUSER", Any),
    both("password", "PGPASSWORD", Any),
    both("passfile", "PGPASSFILE", Any),
    both("dbname", "PGDATABASE", Any),
    both("options", "PGOPTIONS", Any),
    both("sslmode", "PGSSLMODE", Valid(mode)),
    both("sslrootcert", "PGSSLROOTCERT", Any),
    both("sslcert", "PGSSLCERT", Any),
    both("sslkey", "PGSSLKEY", Any),
    in_url("statement-cache-capacity", Valid(capacity)),
    // Not supported, or only with the value that has no effect.
    in_url("ssl", Only(&[], "write sslmode=require, or sslmode=verify-full, which also checks the certificate")),
    both("requiressl", "PGREQUIRESSL", Only(&["0"], "set sslmode to `require` or `verify-full`")),
    both("sslnegotiation", "PGSSLNEGOTIATION", Only(&["postgres"], REMOVE)),
    both("sslcompression", "PGSSLCOMPRESSION", Only(&["0"], REMOVE)),
    both("sslcertmode", "PGSSLCERTMODE", Only(&["allow"], REMOVE)),
    both("sslsni", "PGSSLSNI", Only(&["1"], REMOVE)),
    both("sslcrl", "PGSSLCRL", Only(&[], REMOVE)),
    both("sslcrldir", "PGSSLCRLDIR", Only(&[], REMOVE)),
    both("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION", Only(&["TLSv1", "TLSv1.1", "TLSv1.2"], REMOVE)),
    both("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION", Only(&["TLSv1.3"], REMOVE)),
    both("min_protocol_version", "PGMINPROTOCOLVERSION", Only(&["3.0"], REMOVE)),
    both("max_protocol_version", "PGMAXPROTOCOLVERSION", Only(&["3.0", "3.2", "latest"], REMOVE)),
    both("channel_binding", "PGCHANNELBINDING", Only(&["disable", "prefer"], VERIFY)),
    both("require_auth", "PGREQUIREAUTH", Only(&[], VERIFY)),
    both("requirepeer", "PGREQUIREPEER", Only(&[], REMOVE)),
    both("gssencmode", "PGGSSENCMODE", Only(&["disable", "prefer"], "set sslmode instead")),
    both("gssdelegation", "PGGSSDELEGATION", Only(&["0"], REMOVE)),
    both("service", "PGSERVICE", Only(&[], "service files are not read: put their content into the URL")),
    both("target_session_attrs", "PGTARGETSESSIONATTRS", Only(&["any", "read-write", "primary"], WRITES)),
    both("load_balance_hosts", "PGLOADBALANCEHOSTS", Only(&["disable"], REMOVE)),
    both(
        "connect_timeout",
        "PGCONNECT_TIMEOUT",
        Only(&[], "remove it; CUSTOMER_DELETION__DATABASE__DEADLINE_MS bounds the wait for a connection"),
    ),
    in_url("keepalives", Only(&[], SILENT)),
    in_url("keepalives_idle", Only(&[], SILENT)),
    in_url("keepalives_interval", Only(&[], SILENT)),
    in_url("keepalives_count", Only(&[], SILENT)),
    in_url("tcp_user_timeout", Only(&[], SILENT)),
    in_url("client_encoding", Only(&["UTF8", "UTF-8", "utf8", "utf-8"], REMOVE)),
    in_url("application_name", Only(&[], "remove it; the sessions have names of their own")),
    in_url("fallback_application_name", Only(&[], "remove it; the sessions have names of their own")),
];

const REMOVE: &str = "remove it";
const VERIFY: &str = "remove it; an sslmode of `verify-full` verifies the server";
const WRITES: &str = "remove it; the service needs a server that takes writes";
const SILENT: &str = "remove it; the deadline of a call ends the wait for a silent connection";

const fn both(name: &'static str, variable: &'static str, rule: Rule) -> Parameter {
    Parameter { name, variable: Some(variable), rule }
}

/// A parameter that counts only in the URL.
const fn in_url(name: &'static str, rule: Rule) -> Parameter {
    Parameter { name, variable: None, rule }
}

pub fn find(name: &str) -> Option<&'static Parameter> {
    PARAMETERS.iter().find(|parameter| parameter.name == name)
}

impl Parameter {
    /// An error says what the value must be, and does not show it.
    pub fn check(&self, value: &str) -> Result<(), String> {
        match &self.rule {
            Any => Ok(()),
            Valid(check) => check(value).map_err(str::to_owned),
            Only(values, _) if values.contains(&value) => Ok(()),
            Only([], advice) => Err(format!("is not supported: {advice}")),
            Only(values, advice) => Err(format!("is supported only as `{}`: {advice}", values.join("` or `"))),
        }
    }
}

fn host(value: &str) -> Result<(), &'static str> {
    let is_name = value.chars().all(|character| character.is_alphanumeric() || "-_.".contains(character));
    // A link-local address names its interface, as in fe80::1%eth0.
    let is_ipv6 = || value.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    match value {
        _ if value.starts_with('/') || is_name || is_ipv6() => Ok(()),
        _ if value.contains(',') => Err(SEVERAL_HOSTS),
        _ => Err("must be a name, an address, or the folder of a socket, which begins with `/`"),
    }
}

fn address(value: &str) -> Result<(), &'static str> {
    match value.parse::<IpAddr>() {
        Ok(_) => Ok(()),
        Err(_) if value.contains(',') => Err(SEVERAL_HOSTS),
        Err(_) => Err("must be an IP address"),
    }
}

fn port(value: &str) -> Result<(), &'static str> {
    match value.parse::<u16>() {
        Ok(1..) => Ok(()),
        Ok(0) | Err(_) => Err("must be a number from 1 to 65535; an IPv6 address stands in brackets"),
    }
}

fn mode(value: &str) -> Result<(), &'static str> {
    match value {
        "disable" | "prefer" | "require" | "verify-ca" | "verify-full" => Ok(()),
        "allow" => Err("is not supported as `allow`: choose `disable` or `prefer`"),
        _ => Err("must be `disable`, `prefer`, `require`, `verify-ca` or `verify-full`"),
    }
}

fn capacity(value: &str) -> Result<(), &'static str> {
    value.parse::<usize>().map(drop).map_err(|_| "must be a whole number")
}

/// Whether the text looks like the name of a parameter. Only then a message shows it.
pub fn is_word(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-[]".contains(&byte))
}
