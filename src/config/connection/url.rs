//! Splits the URL of a database into parameters, as libpq does.
//!
//! The `url` crate cannot do it: it refuses an empty host beside a user, and treats other schemes
//! as this one.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use super::parameters::{self, is_word};

/// The form of the URL, for messages.
pub const FORM: &str = "postgres://user:password@host:port/database";

/// The non-empty parameters of the URL, by libpq's names. A parameter in the query wins, as with
/// libpq. An error shows no part of the URL but the names of parameters.
pub fn parameters(url: &str) -> Result<BTreeMap<&'static str, String>, String> {
    let url = url.trim_ascii();
    let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
    let Some(rest) = rest else {
        return Err(format!("must be {FORM}; other forms, like `host=HOST dbname=NAME`, are not supported"));
    };
    if rest.contains(|character: char| character.is_whitespace() || character.is_control()) {
        return Err("has a space or a line break in it; a space is %20".to_owned());
    }
    let (authority, path_and_query) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // Either is most often part of a password, which would be read as a part of the URL that may be
    // shown.
    if path_and_query.contains(['@', '#']) {
        return Err(
            "has an `@` or a `#` after its host; in a user, a password or a parameter, `@` is %40, `#` is %23, \
                    `/` is %2F and `?` is %3F"
                .to_owned(),
        );
    }
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let mut found = read_authority(authority)?;
    found.push(("dbname", path.strip_prefix('/').unwrap_or(path)));
    let mut parameters = BTreeMap::new();
    for (name, text) in found {
        add(&mut parameters, name, text)?;
    }
    let query = read_query(query)?;
    for (index, (name, text)) in query.iter().enumerate() {
        if query[..index].iter().any(|(earlier, _)| earlier == name) {
            return Err(format!("has `{name}` twice"));
        }
        add(&mut parameters, name, text)?;
    }
    Ok(parameters)
}

/// An empty value does not replace another. An empty sslmode is kept, and later refused as invalid.
fn add(parameters: &mut BTreeMap<&'static str, String>, name: &'static str, text: &str) -> Result<(), String> {
    if !text.is_empty() || name == "sslmode" {
        parameters.insert(name, decode(text).map_err(|problem| format!("`{name}` {problem}"))?);
    }
    Ok(())
}

/// `user:password@host:port`, each part of which may be missing.
fn read_authority(authority: &str) -> Result<Vec<(&'static str, &str)>, String> {
    let (credentials, address) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    if address.contains(',') {
        return Err(parameters::SEVERAL_HOSTS.to_owned());
    }
    let (host, rest) = match address.strip_prefix('[') {
        Some(address) => address.split_once(']').ok_or("has a `[` without a `]` in its host")?,
        None => address.split_at(address.find(':').unwrap_or(address.len())),
    };
    let port = match rest.strip_prefix(':') {
        Some(port) => port,
        None if rest.is_empty() => "",
        None => return Err("has more than a port after the `]` of its host".to_owned()),
    };
    Ok(vec![("user", user), ("password", password), ("host", host), ("port", port)])
}

fn read_query(query: &str) -> Result<Vec<(&'static str, &str)>, String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).unwrap_or_default();
            match parameters::find(&name) {
                Some(parameter) => Ok((parameter.name, text)),
                None if is_word(&name) => Err(format!("has `{name}`, which is not a supported parameter")),
                None => Err("has a parameter whose name is not a word".to_owned()),
            }
        })
        .collect()
}

/// Unlike in a form, `+` stands for itself.
fn decode(text: &str) -> Result<String, &'static str> {
    let is_digit = |digit: Option<u8>| digit.is_some_and(|digit| digit.is_ascii_hexdigit());
    let mut escapes = text.split('%').skip(1).map(str::bytes);
    if !escapes.all(|mut bytes| is_digit(bytes.next()) && is_digit(bytes.next())) {
        return Err("has a `%` that is not followed by two hexadecimal digits; a `%` itself is %25");
    }
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| "is not UTF-8")?;
    if decoded.contains('\0') { Err("has %00 in it") } else { Ok(decoded.into_owned()) }
}
