//! The reasons why a private server does not start. Each message says what to do.

use std::io;
use std::path::{Path, PathBuf};

use crate::schema::OLDEST_MAJOR;

/// The environment variable that names the folder with `initdb` and `postgres`.
pub const SETTING: &str = "CUSTOMER_DELETION_DEMO_PG_BIN";

#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("cannot work with {}: {error}", .path.display())]
    File { path: PathBuf, error: io::Error },

    #[error("{} is not empty, and is not the folder of a demo; choose an empty or a new folder", .0.display())]
    NotOwn(PathBuf),

    #[error("another demo uses {}; stop it, or choose another folder with --data-dir", .0.display())]
    InUse(PathBuf),

    #[error("PostgreSQL does not run as root, and /etc/passwd has neither the user `postgres` nor `nobody`")]
    NoUser,

    #[error(
        "the user that PostgreSQL runs as, instead of root, cannot access {}; choose another folder with --data-dir",
        .0.display()
    )]
    OutOfReach(PathBuf),

    #[error(
        "the data in {} needs PostgreSQL {major}, which is not installed; install it, or delete the data with `demo --fresh`",
        .folder.display()
    )]
    OtherMajor { folder: PathBuf, major: u32 },

    #[error(
        "the data in {} needs PostgreSQL {major}, but this service needs PostgreSQL {OLDEST_MAJOR} or newer; delete the data \
         with `demo --fresh`",
        .folder.display()
    )]
    OldCluster { folder: PathBuf, major: u32 },

    #[error(
        "{SETTING} is {}, which has no working initdb and postgres of PostgreSQL {OLDEST_MAJOR} or \
         newer{too_old}",
        .folder.display()
    )]
    NotInSetting { folder: PathBuf, too_old: String },

    #[error(
        "this machine has no PostgreSQL {OLDEST_MAJOR} or newer{too_old}, and pip could not install \
         one:\n\n{output}\n\nOne of these helps:\n  \
         - install PostgreSQL {OLDEST_MAJOR} or newer: apt install postgresql, dnf install postgresql-server, \
         brew install postgresql@17\n  \
         - set {SETTING}=/path/to/bin, the folder with initdb and postgres\n  \
         - use Docker: docker compose --profile demo up --build"
    )]
    NoBinaries { too_old: String, output: String },

    #[error("{program} failed; its log, {}, ends with\n\n{output}", .log.display())]
    Program { program: &'static str, output: String, log: PathBuf },

    #[error("stopped before PostgreSQL had started")]
    Cancelled,
}

impl LaunchError {
    /// A function for `map_err`.
    pub fn file(path: &Path) -> impl FnOnce(io::Error) -> LaunchError + use<> {
        let path = path.to_owned();
        move |error| LaunchError::File { path, error }
    }
}
