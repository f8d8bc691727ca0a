//! The two services that are measured, each as a process of its own.

use std::env;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::AnyError;
use crate::process;
use crate::usual_way;

const START_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// A running service. Killed when this is dropped, and when this process ends, however it ends.
pub struct Program {
    /// For calls.
    pub address: SocketAddr,
    /// The time from its start until it was ready.
    pub ready_after: Duration,
    child: Child,
    guard: Child,
}

impl Program {
    /// The service as operators run it, with its default settings. It logs into the file.
    pub fn service(program: &Path, database: &str, log: &Path) -> Result<Program, AnyError> {
        let address = free_address()?;
        let management = free_address()?;
        let mut command = Command::new(program);
        command
            .arg("serve")
            .env_clear()
            .env("DATABASE_URL", database)
            // pgbench logs in as the owner too.
            .env("CUSTOMER_DELETION__DATABASE__ALLOW_OWNER", "true")
            .env("CUSTOMER_DELETION__HTTP__HOST", address.ip().to_string())
            .env("CUSTOMER_DELETION__HTTP__PORT", address.port().to_string())
            .env("CUSTOMER_DELETION__MANAGEMENT__HOST", management.ip().to_string())
            .env("CUSTOMER_DELETION__MANAGEMENT__PORT", management.port().to_string())
            .env("CUSTOMER_DELETION__REQUESTER__SOURCE", "header")
            .env("CUSTOMER_DELETION__REQUESTER__HEADER__TRUSTED_PEERS", "127.0.0.0/8")
            .stdout(File::create(log)?);
        Program::start(command, address, || is_ready(management, "/health/ready"))
    }

    /// The usual way, which is this program with other arguments.
    pub fn usual_way(database: &str) -> Result<Program, AnyError> {
        let address = free_address()?;
        let mut command = Command::new(env::current_exe()?);
        command.args([usual_way::COMMAND, &address.to_string(), database]).env_clear();
        Program::start(command, address, || is_ready(address, "/health/ready"))
    }

    fn start(mut command: Command, address: SocketAddr, is_ready: impl Fn() -> bool) -> Result<Program, AnyError> {
        let began = Instant::now();
        // Ctrl-C in a terminal goes to the whole group of this process. The guard ends the program then.
        let child = command.stdin(Stdio::null()).process_group(0).spawn()?;
        let guard = guard(&child)?;
        let mut program = Program { address, ready_after: Duration::ZERO, child, guard };
        while !is_ready() {
            if let Some(status) = program.child.try_wait()? {
                return Err(format!("{command:?} ended with {status}").into());
            }
            if began.elapsed() > START_TIMEOUT {
                return Err(format!("{command:?} does not get ready").into());
            }
            thread::sleep(Duration::from_millis(1));
        }
        program.ready_after = began.elapsed();
        Ok(program)
    }

    /// Seconds of processor time so far.
    pub fn cpu(&self) -> Result<f64, AnyError> {
        process::cpu(self.child.id())
    }

    /// Megabytes of memory.
    pub fn memory(&self) -> Result<f64, AnyError> {
        process::memory(self.child.id())
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(mut self) -> Result<(), AnyError> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while Instant::now() < deadline {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("a measured service ended with {status}").into()),
                None => thread::sleep(Duration::from_millis(5)),
            }
        }
        Err("a measured service does not end".into())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The guarded program has ended.
        let _ = self.guard.kill();
        let _ = self.guard.wait();
    }
}

/// Creates the tables of a build of the service.
pub fn migrate(program: &Path, database: &str) -> Result<(), AnyError> {
    let status = Command::new(program)
        .arg("migrate")
        .env_clear()
        .env("DATABASE_URL", database)
        .stdout(Stdio::null())
        .status()?;
    if status.success() { Ok(()) } else { Err(format!("{} migrate ended with {status}", program.display()).into()) }
}

/// A shell that ends the program when the pipe from this process closes.
fn guard(child: &Child) -> Result<Child, AnyError> {
    let guard = Command::new("sh")
        .args(["-c", "read -r _; exec kill -s KILL \"$0\"", &child.id().to_string()])
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(guard)
}

fn free_address() -> Result<SocketAddr, AnyError> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn is_ready(address: SocketAddr, path: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.1 200"))
    };
    ask().unwrap_or(false)
}
