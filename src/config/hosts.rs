//! The hosts that calls may name in `Host`.

use actix_web::http::uri::Authority;

use super::SettingsError;

/// Names and addresses of hosts, without their ports. An IPv6 address is in brackets.
#[derive(Debug, PartialEq, Eq)]
pub struct AllowedHosts(Vec<String>);

impl AllowedHosts {
    /// The names of this machine in a browser on it.
    pub const THIS_MACHINE: &'static str = "127.0.0.1, localhost, [::1]";

    /// Reads a list separated by commas.
    pub fn parse(text: &str) -> Result<AllowedHosts, SettingsError> {
        let refuse = |problem: String| Err(SettingsError::new("http.allowed_hosts", problem));
        let hosts: Vec<_> = text.split(',').map(str::trim).filter(|host| !host.is_empty()).collect();
        if hosts.is_empty() {
            return refuse("is empty; without it, every host is allowed".to_owned());
        }
        if let Some(host) = hosts.iter().find(|host| !is_host(host)) {
            return refuse(format!("`{host}` is not a host like api.example.com or [::1], without a port"));
        }
        Ok(AllowedHosts(hosts.into_iter().map(str::to_owned).collect()))
    }

    /// Whether the host is in the list. The port does not matter.
    pub fn contain(&self, authority: &Authority) -> bool {
        self.0.iter().any(|host| host.eq_ignore_ascii_case(authority.host()))
    }
}

fn is_host(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
    text.bytes().all(is_plain) && text.parse::<Authority>().is_ok_and(|authority| authority.host() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_allows_its_hosts_with_any_port_and_no_other() {
        let hosts = AllowedHosts::parse(" 127.0.0.1, LocalHost,[::1],").unwrap();
        for text in ["127.0.0.1", "127.0.0.1:8080", "localhost:1", "LOCALHOST", "[::1]", "[::1]:8080"] {
            assert!(hosts.contain(&text.parse().unwrap()), "{text}");
        }
        for text in ["127.0.0.2", "localhost.example.com", "localhost.", "example.com", "[::2]", "a.localhost"] {
            assert!(!hosts.contain(&text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_host_is_named() {
        for text in ["", " , "] {
            assert!(AllowedHosts::parse(text).unwrap_err().problem.contains("is empty"), "{text}");
        }
        for text in ["localhost:8080", "::1", "http://localhost", "me@localhost", "a b", "*"] {
            let problem = AllowedHosts::parse(&format!("localhost,{text}")).unwrap_err().problem;
            assert!(problem.starts_with(&format!("`{text}` is not a host")), "{problem}");
        }
    }

    #[test]
    fn the_names_of_this_machine_are_hosts() {
        assert!(AllowedHosts::parse(AllowedHosts::THIS_MACHINE).is_ok());
    }
}
