//! Looks a password up in libpq's password file. sqlx can do that too, but it logs invalid lines.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The password of the first line for this host, port, database and user. An error does not show
/// the content of the file.
pub fn find(path: &Path, wanted: [&str; 4]) -> Result<Option<String>, String> {
    let unreadable = |error| format!("cannot be read: {error}");
    let mut file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.permissions().mode() & 0o077 != 0 {
        return Err("others may read: chmod 600".to_owned());
    }
    let mut content = String::new();
    file.read_to_string(&mut content).map_err(unreadable)?;
    Ok(content.lines().find_map(|line| password(line, wanted)))
}

/// The password of a line `host:port:database:user:password`, if it is for these four. `*` matches
/// anything.
fn password(line: &str, wanted: [&str; 4]) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let last = fields.len() - 1;
        match character {
            ':' if last < wanted.len() => fields.push(String::new()),
            // A backslash escapes the next character.
            '\\' => fields[last].extend(characters.next()),
            _ => fields[last].push(character),
        }
    }
    let password = (fields.len() > wanted.len()).then(|| fields.pop())??;
    // libpq calls the server behind the usual socket `localhost`.
    if fields[0] == "localhost" && wanted[0].starts_with('/') {
        wanted[0].clone_into(&mut fields[0]);
    }
    let is_for = |(field, wanted): (&String, &str)| field == "*" || field == wanted;
    (fields.iter().zip(wanted).all(is_for) && !password.is_empty()).then_some(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: [&str; 4] = ["db.example", "5432", "app", "me"];

    #[test]
    fn a_line_is_for_its_host_port_database_and_user() {
        for (line, found) in [
            ("db.example:5432:app:me:secret", Some("secret")),
            ("*:*:*:*:secret", Some("secret")),
            (r"db.example:5432:app:me:a\:b\\c:d ", Some(r"a:b\c:d ")),
            ("db.example:5432:app:me:", None),
            ("db.example:5432:app:me", None),
            ("other.example:5432:app:me:secret", None),
            ("db.example:5433:app:me:secret", None),
            ("db.example:5432:other:me:secret", None),
            ("db.example:5432:app:other:secret", None),
            ("#*:*:*:*:secret", None),
            ("localhost:5432:app:me:secret", None),
            ("", None),
        ] {
            assert_eq!(password(line, WANTED).as_deref(), found, "{line}");
        }
        let socket = ["/run/postgresql", "5432", "app", "me"];
        assert_eq!(password("localhost:5432:app:me:secret", socket).as_deref(), Some("secret"));
    }
}
