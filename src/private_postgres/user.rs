//! The user that PostgreSQL runs as. It refuses to run as root.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::launch_error::LaunchError;

const ROOT: u32 = 0;

/// The users that may replace root, in order of preference.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// Chooses the user for a folder, and gives it the folder. Returns `None` unless this process
    /// is root.
    pub fn for_folder(folder: &Path) -> Result<Option<User>, LaunchError> {
        if !is_root() {
            return Ok(None);
        }
        let owner = fs::metadata(folder).map_err(LaunchError::file(folder))?;
        // A cluster must run as its owner.
        if owner.uid() != ROOT {
            return Ok(Some(User { uid: owner.uid(), gid: owner.gid() }));
        }
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let user = unprivileged(&users).ok_or(LaunchError::NoUser)?;
        user.own(folder).map_err(LaunchError::file(folder))?;
        Ok(Some(user))
    }

    pub fn own(self, path: &Path) -> io::Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
    }

    /// Makes a command run as this user.
    pub fn run(self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Returns the first of these users that is in the text of /etc/passwd.
fn unprivileged(users: &str) -> Option<User> {
    UNPRIVILEGED.into_iter().find_map(|wanted| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            if fields.next() != Some(wanted) {
                return None;
            }
            Some(User { uid: fields.nth(1)?.parse().ok()?, gid: fields.next()?.parse().ok()? })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65533:nobody:/:/bin/false\n";

    #[test]
    fn nobody_stands_in_for_postgres() {
        let nobody = User { uid: 65534, gid: 65533 };
        assert_eq!(unprivileged(USERS), Some(nobody));

        let users = format!("{USERS}postgres:x:101:104:administrator:/var/lib/postgresql:/bin/bash\n");
        assert_eq!(unprivileged(&users), Some(User { uid: 101, gid: 104 }));
    }

    #[test]
    fn where_there_is_neither_nobody_is_made_up() {
        assert_eq!(unprivileged("root:x:0:0:root:/root:/bin/sh\nnobody2:x:1:1::/:\n"), None);
    }
}
