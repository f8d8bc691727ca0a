//! The scopes of a token: one to read operations, one to delete.

use actix_web::http::Method;

use super::claims::Claims;
use crate::config::TokenScopes;
use crate::error::Error;

/// The required token scopes that the token of a call does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MissingTokenScopes {
    read: Option<String>,
    delete: Option<String>,
}

impl MissingTokenScopes {
    pub fn of(claims: &Claims, required: &TokenScopes) -> MissingTokenScopes {
        let missing =
            |scope: &Option<String>| scope.clone().filter(|scope| !claims.have_scope(scope, &required.claims));
        MissingTokenScopes { read: missing(&required.read), delete: missing(&required.delete) }
    }

    /// Denies a token that can do nothing. One token scope is enough to learn that a route or a
    /// method does not exist.
    pub fn check_any(&self, method: &Method) -> Result<(), Error> {
        if self.read.is_some() && self.delete.is_some() { self.check(method) } else { Ok(()) }
    }

    /// Denies a call of a route without the token scope for its method.
    pub fn check(&self, method: &Method) -> Result<(), Error> {
        let missing = match *method {
            Method::GET | Method::HEAD => &self.read,
            _ => &self.delete,
        };
        match missing {
            Some(scope) => Err(Error::unauthenticated("the token does not have the scope", challenge(scope))),
            None => Ok(()),
        }
    }
}

/// The challenge of a token without the scope. The settings accept only scopes that a header may
/// contain.
fn challenge(scope: &str) -> String {
    format!(r#"Bearer realm="customer-deletion", error="insufficient_scope", scope="{scope}""#)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(granted: &str, read: Option<&str>, delete: Option<&str>) -> MissingTokenScopes {
        let claims = serde_json::json!({"scope": granted}).to_string();
        let [read, delete] = [read, delete].map(|scope| scope.map(str::to_owned));
        let required = TokenScopes { read, delete, claims: vec!["scope".to_owned()] };
        MissingTokenScopes::of(&Claims::parse(claims.as_bytes()).unwrap(), &required)
    }

    #[test]
    fn each_method_needs_its_scope() {
        let (read, delete) = (Some("read"), Some("delete"));
        for (granted, required, may_read, may_delete) in [
            ("", (None, None), true, true),
            ("", (read, None), false, true),
            ("", (None, delete), true, false),
            ("", (read, delete), false, false),
            ("read", (read, delete), true, false),
            ("delete", (read, delete), false, true),
            ("read delete", (read, delete), true, true),
            ("all", (Some("all"), Some("all")), true, true),
            ("read", (Some("all"), Some("all")), false, false),
        ] {
            let missing = missing(granted, required.0, required.1);
            for (method, may) in [
                (Method::GET, may_read),
                (Method::HEAD, may_read),
                (Method::DELETE, may_delete),
                (Method::POST, may_delete),
                (Method::from_bytes(b"get").unwrap(), may_delete),
            ] {
                assert_eq!(missing.check(&method).is_ok(), may, "{method} with `{granted}` of {required:?}");
                let any = may_read || may_delete;
                assert_eq!(missing.check_any(&method).is_ok(), any, "{method} with `{granted}` of {required:?}");
            }
        }
    }
}
