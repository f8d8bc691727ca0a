//! The service as a process of its own, as operators run it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// The built binary, with nothing of this process's settings.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_customer-deletion"));
    command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

pub fn output(command: &mut Command) -> Output {
    command.output().expect("the binary runs")
}

/// A running `serve`. Killed when it is dropped.
pub struct Process {
    pub child: Child,
    pub address: SocketAddr,
    pub management_address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Process {
    /// Starts on free ports, and waits until it listens.
    pub fn serve(database_url: &str) -> Process {
        Process::serve_with(database_url, &[])
    }

    /// With settings on top of those of the tests.
    pub fn serve_with(database_url: &str, settings: &[(&str, &str)]) -> Process {
        let mut child = command(&["serve"])
            .env("DATABASE_URL", database_url)
            .env("CUSTOMER_DELETION__HTTP__HOST", "127.0.0.1")
            .env("CUSTOMER_DELETION__HTTP__PORT", "0")
            .env("CUSTOMER_DELETION__MANAGEMENT__HOST", "127.0.0.1")
            .env("CUSTOMER_DELETION__MANAGEMENT__PORT", "0")
            .env("CUSTOMER_DELETION__REQUESTER__SOURCE", "header")
            .env("CUSTOMER_DELETION__REQUESTER__HEADER__TRUSTED_PEERS", "127.0.0.0/8")
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let written = Arc::new(Mutex::new(String::new()));
        let copy = Arc::clone(&written);
        let log = BufReader::new(child.stdout.take().unwrap());
        let (sender, receiver) = mpsc::channel();
        // Reads on to the end, so that the process never waits for a full pipe.
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                *copy.lock().unwrap() += &format!("{line}\n");
                if line.contains("\"listening\"") {
                    let _ = sender.send(line);
                }
            }
        });
        let line = receiver.recv_timeout(Duration::from_secs(20)).expect("the service listens");
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = |field: &str| line[field].as_str().unwrap().parse().unwrap();
        Process { address: address("address"), management_address: address("management"), child, log: written }
    }

    /// What it wrote so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
