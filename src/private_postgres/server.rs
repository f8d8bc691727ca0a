//! Starts the server, and stops it.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::binaries::{self, Binaries};
use super::folder::Folder;
use super::launch_error::LaunchError;
use super::program::{self, unless_missing};
use super::watchdog::Watchdog;

/// Includes the recovery after a crash.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Includes the checkpoint at shutdown.
const STOP_TIMEOUT: Duration = Duration::from_secs(12);

/// A free port may be taken before the server binds it, so the start is tried on several.
const PORT_ATTEMPTS: u32 = 3;

/// The server has no Unix socket: its path could be too long, and its folder could belong to
/// another user.
const SETTINGS: [&str; 3] = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "logging_collector=off"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The data outlives the server and survives a power failure.
    Durable,
    /// For tests: nothing is flushed to disk, and the folder is deleted when the server stops.
    Disposable,
}

impl Durability {
    fn settings(self) -> &'static [&'static str] {
        match self {
            Durability::Durable => &[],
            Durability::Disposable => &[
                "fsync=off",
                "synchronous_commit=off",
                "full_page_writes=off",
                "max_connections=400",
                "max_wal_senders=40",
                "max_replication_slots=40",
                "wal_level=logical",
            ],
        }
    }
}

/// A server on a loopback port. It stops when this is dropped or this process ends.
pub struct PrivatePostgres {
    server: Option<Child>,
    port: u16,
    password: String,
    binaries: Binaries,
    watchdog: Watchdog,
    folder: Folder,
}

impl PrivatePostgres {
    /// Starts a server on the cluster in the folder. Creates both if they are missing.
    pub fn start(folder: &Path, durability: Durability) -> Result<PrivatePostgres, LaunchError> {
        let cancel = CancellationToken::new();
        PrivatePostgres::start_in(Folder::claim(folder, &cancel)?, durability, &cancel)
    }

    /// Starts in a folder that is claimed already. Can be cancelled.
    pub fn start_in(
        folder: Folder,
        durability: Durability,
        cancel: &CancellationToken,
    ) -> Result<PrivatePostgres, LaunchError> {
        let binaries = binaries::find_or_install(&folder, cancel)?;
        let disposable = (durability == Durability::Disposable).then_some(folder.path());
        let watchdog = Watchdog::start(disposable).map_err(LaunchError::file(Path::new("sh")))?;
        if folder.cluster_major().is_none() {
            create_cluster(&folder, &binaries, durability, cancel)?;
        }
        remove_stale_process_id(&folder)?;
        let password = folder.password();
        let mut postgres = PrivatePostgres {
            server: None,
            port: 0,
            password: fs::read_to_string(&password).map_err(LaunchError::file(&password))?,
            binaries,
            watchdog,
            folder,
        };
        postgres.launch(durability, cancel)?;
        Ok(postgres)
    }

    /// The URL of a database for the superuser.
    pub fn url(&self, database: &str) -> String {
        self.url_of("postgres", database)
    }

    /// The URL of a database for a role that has the superuser's password. `sslmode` is set because
    /// the environment of a client may require TLS.
    pub fn url_of(&self, role: &str, database: &str) -> String {
        let (password, host, port) = (&self.password, Ipv4Addr::LOCALHOST, self.port);
        format!("postgres://{role}:{password}@{host}:{port}/{database}?sslmode=disable")
    }

    pub fn password(&self) -> &str {
        &self.password
    }

    fn launch(&mut self, durability: Durability, cancel: &CancellationToken) -> Result<(), LaunchError> {
        for attempts_left in (0..PORT_ATTEMPTS).rev() {
            self.spawn(durability).map_err(LaunchError::file(&self.binaries.folder))?;
            match self.wait_until_ready(cancel) {
                Err(LaunchError::Program { output, .. }) if attempts_left > 0 && output.contains("could not bind") => {}
                result => return result,
            }
        }
        unreachable!("the last attempt returns")
    }

    fn spawn(&mut self, durability: Durability) -> io::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        self.port = listener.local_addr()?.port();
        drop(listener);

        let mut command = self.folder.command(&self.binaries.folder.join("postgres"));
        command.arg("-D").arg(self.folder.cluster());
        command.args(["-c", &format!("port={}", self.port)]);
        for setting in SETTINGS.iter().chain(durability.settings()) {
            command.args(["-c", setting]);
        }
        program::write_to(&mut command, &self.log())?;
        let server = command
            // Every process of the server holds the lock, so nobody can claim the folder while one
            // runs.
            .stdin(self.folder.lock()?)
            // Ctrl-C goes to the whole process group, but calls in flight still need the server.
            .process_group(0)
            .spawn()?;
        self.watchdog.watch(self.server.insert(server))
    }

    fn wait_until_ready(&mut self, cancel: &CancellationToken) -> Result<(), LaunchError> {
        let deadline = Instant::now() + START_TIMEOUT;
        while !self.is_ready() {
            if self.has_ended() || Instant::now() > deadline {
                return Err(LaunchError::Program {
                    program: "postgres",
                    output: program::tail(&self.log()),
                    log: self.log(),
                });
            }
            program::pause(cancel)?;
        }
        Ok(())
    }

    /// The server writes its state into the file with its process id.
    fn is_ready(&self) -> bool {
        let file = self.folder.cluster().join("postmaster.pid");
        let text = fs::read_to_string(file).unwrap_or_default();
        let mut lines = text.lines().map(str::trim);
        let process = self.server.as_ref().map(|server| server.id().to_string());
        lines.next() == process.as_deref() && lines.nth(6) == Some("ready")
    }

    fn has_ended(&mut self) -> bool {
        self.server.as_mut().is_none_or(|server| !matches!(server.try_wait(), Ok(None)))
    }

    fn log(&self) -> PathBuf {
        self.folder.join("postgres.log")
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        self.watchdog.stop_server();
        if let Some(server) = &mut self.server
            && !program::ends_within(server, STOP_TIMEOUT)
        {
            program::kill(server);
        }
    }
}

/// Creates the cluster in another folder and renames that, so that an existing cluster is complete.
fn create_cluster(
    folder: &Folder,
    binaries: &Binaries,
    durability: Durability,
    cancel: &CancellationToken,
) -> Result<(), LaunchError> {
    let unfinished = folder.join("cluster.new");
    unless_missing(fs::remove_dir_all(&unfinished)).map_err(LaunchError::file(&unfinished))?;
    // Every user of the machine can connect to a loopback port, and a superuser of PostgreSQL can
    // run programs as the server's user. Hence the password. It is sent in clear, because SCRAM
    // takes a debug build 60 ms for each connection.
    folder.write_secret(&folder.password(), &random_password())?;

    let mut initdb = folder.command(&binaries.folder.join("initdb"));
    initdb.arg("-D").arg(&unfinished);
    initdb.args(["--username=postgres", "--encoding=UTF8", "--locale=C", "--auth=password"]);
    initdb.arg("--pwfile").arg(folder.password());
    if durability == Durability::Disposable {
        initdb.arg("--no-sync");
    }
    program::run("initdb", &mut initdb, &folder.join("initdb.log"), cancel)?;
    let cluster = folder.cluster();
    fs::rename(unfinished, &cluster).map_err(LaunchError::file(&cluster))
}

/// 122 random bits.
fn random_password() -> String {
    Uuid::new_v4().simple().to_string()
}

/// After a crash of the machine, the process id of the last server may belong to another program.
/// PostgreSQL would take that program for a running server, and not start.
fn remove_stale_process_id(folder: &Folder) -> Result<(), LaunchError> {
    let file = folder.cluster().join("postmaster.pid");
    let text = fs::read_to_string(&file).unwrap_or_default();
    let process = text.lines().next().unwrap_or_default();
    // Without /proc, PostgreSQL decides.
    match fs::read_to_string(format!("/proc/{process}/comm")) {
        Ok(name) if name.trim_end() != "postgres" => {
            unless_missing(fs::remove_file(&file)).map_err(LaunchError::file(&file))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_passwords_are_alike() {
        let password = random_password();
        assert_eq!(password.len(), 32);
        assert_ne!(password, random_password());
    }
}
