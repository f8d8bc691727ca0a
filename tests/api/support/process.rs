//! The service as a process of its own, as operators run it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use customer_deletion::config::Settings;
use memchr::memmem::Finder;

use super::client;
use super::database::as_service;
use super::service::send;

/// The longest drain of a process whose end is awaited, 20 seconds, and 20 seconds more.
const LONGEST_END: Duration = Duration::from_secs(40);

/// A deadline that is long enough for a busy machine, like that of a service in this process. All waits of a call together may
/// take 20 seconds, and so may the drain, so a body has less time than by default.
const PATIENT: [(&str, &str); 3] = [
    ("CUSTOMER_DELETION__HTTP__BODY_TIMEOUT_MS", "4000"),
    ("CUSTOMER_DELETION__HTTP__DRAIN_SECONDS", "20"),
    ("CUSTOMER_DELETION__DATABASE__DEADLINE_MS", "11000"),
];

/// The default waits, for tests of the waits themselves and for measurements.
pub const IMPATIENT: [(&str, &str); 3] = [
    ("CUSTOMER_DELETION__HTTP__BODY_TIMEOUT_MS", "10000"),
    ("CUSTOMER_DELETION__HTTP__DRAIN_SECONDS", "15"),
    ("CUSTOMER_DELETION__DATABASE__DEADLINE_MS", "2500"),
];

/// The built binary, or that of `TEST_BINARY`, without the settings of this process.
pub fn command(arguments: &[&str]) -> Command {
    let built = || env!("CARGO_BIN_EXE_customer-deletion").into();
    let mut command = Command::new(std::env::var_os("TEST_BINARY").unwrap_or_else(built));
    command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// `serve` after these commands of a shell.
pub fn limited(commands: &str) -> Command {
    let binary = command(&["serve"]);
    let mut limited = Command::new("sh");
    limited.arg("-c").arg(format!("{commands} && exec \"$@\"")).arg("sh");
    limited.arg(binary.get_program()).args(binary.get_args());
    limited.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    limited
}

pub fn output(command: &mut Command) -> Output {
    command.output().expect("the binary runs")
}

/// A running `serve`. Killed when it is dropped.
pub struct Process {
    pub child: Child,
    pub address: SocketAddr,
    pub management_address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
    complaints: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts on free ports with long waits, and returns once it listens.
    pub fn serve(database_url: &str) -> Process {
        Process::serve_with(database_url, &[])
    }

    /// Starts with the default waits.
    pub fn serve_impatiently(database_url: &str) -> Process {
        Process::serve_with(database_url, &IMPATIENT)
    }

    /// Adds variables to the environment of the tests. The service logs in as its own role, even if the URL names the
    /// administrator.
    pub fn serve_with(database_url: &str, environment: &[(&str, &str)]) -> Process {
        Process::serve_as(&as_service(database_url), environment)
    }

    /// With at most this many bytes of memory, and this many descriptors.
    pub fn serve_within(
        database_url: &str,
        memory: usize,
        descriptors: usize,
        environment: &[(&str, &str)],
    ) -> Process {
        let limits = format!("ulimit -d {} && ulimit -n {descriptors}", memory >> 10);
        Process::start(&mut limited(&limits), &as_service(database_url), environment)
    }

    /// Logs in as the role of the URL, whichever it is.
    pub fn serve_as(database_url: &str, environment: &[(&str, &str)]) -> Process {
        Process::start(&mut command(&["serve"]), database_url, environment)
    }

    fn start(command: &mut Command, database_url: &str, environment: &[(&str, &str)]) -> Process {
        let mut child = command
            .env("DATABASE_URL", database_url)
            .env("CUSTOMER_DELETION__HTTP__HOST", "127.0.0.1")
            .env("CUSTOMER_DELETION__HTTP__PORT", "0")
            .env("CUSTOMER_DELETION__MANAGEMENT__HOST", "127.0.0.1")
            .env("CUSTOMER_DELETION__MANAGEMENT__PORT", "0")
            .env("CUSTOMER_DELETION__REQUESTER__SOURCE", "header")
            .env("CUSTOMER_DELETION__REQUESTER__HEADER__TRUSTED_PEERS", "127.0.0.0/8")
            .envs(PATIENT)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let output = BufReader::new(child.stdout.take().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&log);
        let (sender, receiver) = mpsc::channel();
        // Reads on to the end, so that the process never waits for a full pipe.
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                super::log::look_at(&line);
                if line.contains("\"listening\"") {
                    let _ = sender.send(line.clone());
                }
                lines.lock().unwrap().push(line);
            }
        });
        let errors = BufReader::new(child.stderr.take().unwrap());
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let complained = Arc::clone(&complaints);
        std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                eprintln!("{line}");
                complained.lock().unwrap().push(line);
            }
        });
        let line = receiver.recv_timeout(Duration::from_secs(20)).expect("the service listens");
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = |field: &str| line[field].as_str().unwrap().parse().unwrap();
        Process { address: address("address"), management_address: address("management"), child, log, complaints }
    }

    /// The lines that it has logged so far, parsed.
    pub fn log(&self) -> Vec<serde_json::Value> {
        let lines = self.log.lock().unwrap();
        lines.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    /// The number of lines with this text. Asked again and again, it costs less than [`Process::log`].
    pub fn count_in_log(&self, text: &str) -> usize {
        let text = Finder::new(text);
        self.log.lock().unwrap().iter().filter(|line| text.find(line.as_bytes()).is_some()).count()
    }

    /// For a process whose log would not fit into memory.
    pub fn forget_log(&self) {
        self.log.lock().unwrap().clear();
    }

    /// Its standard error, such as the message of a panic.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap().clone()
    }

    /// A number of `/proc/…/status`, such as `VmHWM:` in KiB.
    pub fn status(&self, field: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the process runs");
        let value = status.lines().find_map(|line| line.strip_prefix(field)).expect("Linux tells it");
        value.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// The calls in flight, from its metrics.
    pub async fn in_flight(&self) -> f64 {
        let page = send(client().get(format!("http://{}/metrics", self.management_address))).await.text;
        let line = page.lines().find_map(|line| line.strip_prefix("customer_deletion_requests_in_flight "));
        line.expect("the page has it").parse().unwrap()
    }

    pub fn send_sigterm(&self) {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
    }

    /// Waits for its end.
    pub async fn exit_code(&mut self) -> Option<i32> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(began.elapsed() < LONGEST_END, "the process does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends SIGTERM, and waits for the exit status.
    pub async fn terminate(&mut self) -> Option<i32> {
        self.send_sigterm();
        self.exit_code().await
    }

    /// Sends SIGKILL.
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
        if !std::thread::panicking() {
            super::log::assert_clean();
        }
    }
}

#[test]
fn the_impatient_waits_are_the_defaults() {
    let Settings { http, database, .. } = Settings::default();
    let defaults = [http.body_timeout.as_millis(), http.drain_seconds.into(), database.deadline.as_millis()];
    assert_eq!(IMPATIENT.map(|(_, wait)| wait.parse::<u128>().unwrap()), defaults);
}
