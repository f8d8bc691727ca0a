//! Whom PostgreSQL runs as: it refuses to be root.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::launch_error::LaunchError;

const ROOT: u32 = 0;

/// Whom root may run a server as, the best first.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// A user of this machine, by numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// Whom to be for the files of a folder, and makes the folder that user's. None where this process can stay who it is.
    pub fn for_folder(folder: &Path) -> Result<Option<User>, LaunchError> {
        if !is_root() {
            return Ok(None);
        }
        let owner = fs::metadata(folder).map_err(LaunchError::file(folder))?;
        // Whoever made the cluster that is in there must be the one to run it.
        if owner.uid() != ROOT {
            return Ok(Some(User { uid: owner.uid(), gid: owner.gid() }));
        }
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let user = unprivileged(&users).ok_or(LaunchError::NoUser)?;
        user.owns(folder).map_err(LaunchError::file(folder))?;
        Ok(Some(user))
    }

    /// Makes a file or folder this user's.
    pub fn owns(self, path: &Path) -> io::Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
    }

    /// Lets a command run as this user, without the groups of root.
    pub fn runs(self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }
}

/// Whether this process is root.
pub fn is_root() -> bool {
    // The standard library does not tell, and every Unix has this program.
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// The first of the unprivileged users that /etc/passwd has.
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
