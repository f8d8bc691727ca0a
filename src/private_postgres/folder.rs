//! The folder of a private server: the cluster, the password, the logs, and programs that pip
//! installed. One server can use it at a time.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::launch_error::LaunchError;
use super::program::{self, unless_missing};
use super::user::User;

/// Marks a folder as one of this program. Servers lock this file.
const MARKER: &str = ".customer-deletion-demo";

const MARKER_TEXT: &str =
    "A private PostgreSQL of `customer-deletion demo` lives here. `demo --fresh` deletes its data.\n";

/// After a killed demo, its server needs a moment to stop.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// A locked folder. The lock ends when this is dropped and the server, which shares it, has ended.
pub struct Folder {
    path: PathBuf,
    lock: File,
    user: Option<User>,
}

impl Folder {
    /// Creates the folder, or uses that of an earlier start. Fails if it contains anything else, or
    /// is in use.
    pub fn claim(path: &Path, cancel: &CancellationToken) -> Result<Folder, LaunchError> {
        fs::create_dir_all(path).map_err(LaunchError::file(path))?;
        let path = path.canonicalize().map_err(LaunchError::file(path))?;
        if !is_own(&path).map_err(LaunchError::file(&path))? {
            return Err(LaunchError::NotOwn(path));
        }
        let lock = lock(&path, cancel)?;
        let user = User::for_folder(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o700)).map_err(LaunchError::file(&path))?;
        let folder = Folder { path, lock, user };
        folder.require_reachable()?;
        Ok(folder)
    }

    /// The user that replaces root may have no access to a folder inside root's.
    fn require_reachable(&self) -> Result<(), LaunchError> {
        match self.command(Path::new("true")).status() {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(LaunchError::OutOfReach(self.path.clone()))
            }
            _ => Ok(()),
        }
    }

    pub fn cluster(&self) -> PathBuf {
        self.join("cluster")
    }

    /// The file with the superuser's password.
    pub fn password(&self) -> PathBuf {
        self.join("password")
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The major version of the cluster. `None` if there is no cluster yet.
    pub fn cluster_major(&self) -> Option<u32> {
        let version = fs::read_to_string(self.cluster().join("PG_VERSION")).ok()?;
        version.trim().parse().ok()
    }

    /// Deletes the cluster. Installed programs stay.
    pub fn clear(&self) -> Result<(), LaunchError> {
        let cluster = self.cluster();
        unless_missing(fs::remove_dir_all(&cluster)).map_err(LaunchError::file(&cluster))
    }

    /// Writes a file that only the folder's user can read.
    pub fn write_secret(&self, path: &Path, text: &str) -> Result<(), LaunchError> {
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(true).mode(0o600);
        options
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .and_then(|()| self.user.map_or(Ok(()), |user| user.own(path)))
            .map_err(LaunchError::file(path))
    }

    /// A handle on the lock, for a process to hold while it runs.
    pub fn lock(&self) -> io::Result<File> {
        self.lock.try_clone()
    }

    /// A command that runs as the folder's user. It runs in the folder, because that user may have
    /// no access to the current one.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.path).env("LC_ALL", "C");
        if let Some(user) = self.user {
            user.run(&mut command);
        }
        command
    }
}

/// Whether the folder has the marker or is empty.
fn is_own(folder: &Path) -> io::Result<bool> {
    Ok(folder.join(MARKER).exists() || fs::read_dir(folder)?.next().is_none())
}

fn lock(folder: &Path, cancel: &CancellationToken) -> Result<File, LaunchError> {
    let marker = folder.join(MARKER);
    let mut file = OpenOptions::new()
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .mode(0o600)
        .open(&marker)
        .map_err(LaunchError::file(&marker))?;
    let deadline = Instant::now() + RELEASE_TIMEOUT;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => program::pause(cancel)?,
            Err(TryLockError::WouldBlock) => return Err(LaunchError::InUse(folder.to_owned())),
            Err(TryLockError::Error(error)) => return Err(LaunchError::File { path: marker, error }),
        }
    }
    file.set_len(0).and_then(|()| file.write_all(MARKER_TEXT.as_bytes())).map_err(LaunchError::file(&marker))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty_folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("customer-deletion-{name}-{}", std::process::id()));
        unless_missing(fs::remove_dir_all(&path)).unwrap();
        path
    }

    #[test]
    fn a_folder_is_claimed_by_one_at_a_time() {
        let path = empty_folder("claimed-once");
        let folder = Folder::claim(&path, &CancellationToken::default()).unwrap();
        assert!(matches!(Folder::claim(&path, &CancellationToken::default()), Err(LaunchError::InUse(_))));
        drop(folder);
        drop(Folder::claim(&path, &CancellationToken::default()).unwrap());
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_folder_of_somebody_else_is_left_alone() {
        let path = empty_folder("foreign");
        fs::create_dir_all(path.join("cluster")).unwrap();
        let refused = Folder::claim(&path, &CancellationToken::default());
        assert!(matches!(refused, Err(LaunchError::NotOwn(_))));
        assert!(path.join("cluster").exists());
        assert!(!path.join(MARKER).exists());
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn clearing_deletes_the_cluster_and_keeps_the_rest() {
        let path = empty_folder("cleared");
        let folder = Folder::claim(&path, &CancellationToken::default()).unwrap();
        for name in ["cluster", "pip"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        folder.clear().unwrap();
        folder.clear().unwrap();
        assert!(!folder.cluster().exists());
        assert!(folder.join("pip").exists());
        fs::remove_dir_all(path).unwrap();
    }
}
