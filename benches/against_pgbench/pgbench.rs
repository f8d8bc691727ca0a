//! Runs of pgbench: what PostgreSQL can do on this machine.
//!
//! The sessions of a pool are old: their statements are planned, and their processes have mapped the pages of the shared memory.
//! pgbench's sessions are new in every run, and would spend up to a third of their time on that. So each of them first reads the
//! tables, makes a few calls, and waits for all the others. Then the run begins. It ends when all wait again, before the sessions
//! end: to end a process that has mapped so much memory takes as long as many calls.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use customer_deletion::repository::PLANNING;

use crate::AnyError;
use crate::arena::Arena;
use crate::cluster::COPY;
use crate::process;
use crate::samples::{Sample, Samples};
use crate::script::{BEGIN, DEFINITIONS, END, Script, calls_a_fetch};
use crate::tables::Tables;
use crate::world::Slice;

/// The settings of the service's sessions. The timeouts are set, because they cost time, but they are longer: pgbench stops at the
/// first statement that fails, and on 64 connections a statement of 1,000 ids is slow.
const SESSION: &str = "-c statement_timeout=30000 -c lock_timeout=20000 -c idle_in_transaction_session_timeout=30000 \
    -c tcp_user_timeout=2500 -c default_transaction_isolation=read\\ committed";

/// The one setting that the lean statement needs.
const LEAN_SESSION: &str = "-c plan_cache_mode=force_generic_plan";

/// Threads of pgbench. They are nearly idle.
const THREADS: usize = 2;

/// The longest time until all clients wait for one of the locks.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// The interval at which that is checked.
const POLL: Duration = Duration::from_millis(50);

/// A running pgbench.
pub struct Pgbench {
    process: Child,
    cpu_before: f64,
    logs: PathBuf,
    clients: usize,
    calls_a_client: u64,
    fetch: u64,
}

impl Pgbench {
    /// Starts it with the calls of the slice. Each client makes the first of them, and then waits for the run to begin.
    pub fn start(arena: &mut Arena, slice: &Slice, clients: usize) -> Result<Pgbench, AnyError> {
        let script = Script::new(arena.cluster.tables, slice.ids_per_call)?;
        script.prepare(&mut arena.client, slice, clients)?;
        fs::write(arena.cluster.file("pgbench.sql"), script.text()?)?;
        let calls_a_client = slice.calls / clients as u64;
        let fetch = calls_a_fetch(slice.ids_per_call);
        let logs = arena.cluster.file("pgbench-logs");
        let _ = fs::remove_dir_all(&logs);
        fs::create_dir(&logs)?;
        let cpu_before = process::cpu_of_ended_children()?;
        arena.client.run(&format!("select pg_advisory_lock({BEGIN}), pg_advisory_lock({END})"))?;
        let process = Command::new(arena.cluster.pgbench()?)
            .args(["--no-vacuum", "--protocol=prepared", "--log"])
            .arg(format!("--log-prefix={}", logs.join("log").display()))
            .arg(format!("--client={clients}"))
            .arg(format!("--jobs={}", clients.min(THREADS)))
            .arg(format!("--transactions={}", transactions(calls_a_client, fetch) + LEAD_OUT))
            .args([
                "--define=stage=0",
                "--define=batch=0",
                &format!("--define=left={calls_a_client}"),
                &format!("--define=place={fetch}"),
            ])
            .args(DEFINITIONS)
            .arg(format!("--file={}", arena.cluster.file("pgbench.sql").display()))
            .arg(arena.cluster.url(COPY))
            .env("PGOPTIONS", session(arena.cluster.tables))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut pgbench = Pgbench { process, cpu_before, logs, clients, calls_a_client, fetch };
        pgbench.until_all_wait(arena, BEGIN)?;
        Ok(pgbench)
    }

    /// Starts the run, and returns when every client has made its calls.
    pub fn run(&mut self, arena: &mut Arena) -> Result<(), AnyError> {
        arena.client.run(&format!("select pg_advisory_unlock({BEGIN})"))?;
        self.until_all_wait(arena, END)
    }

    fn until_all_wait(&mut self, arena: &mut Arena, barrier: u32) -> Result<(), AnyError> {
        let waiting =
            format!("select count(*) from pg_locks where locktype = 'advisory' and objid = {barrier} and not granted");
        let began = Instant::now();
        while arena.client.number(&waiting)? < i64::try_from(self.clients)? {
            if self.process.try_wait()?.is_some() || began.elapsed() > LONGEST_WAIT {
                arena.client.run("select pg_advisory_unlock_all()")?;
                let _ = self.process.kill();
                let mut errors = String::new();
                self.process.stderr.take().map_or(Ok(0), |mut stderr| stderr.read_to_string(&mut errors))?;
                return Err(format!("pgbench ended, or took more than {LONGEST_WAIT:?}:\n{errors}").into());
            }
            sleep(POLL);
        }
        Ok(())
    }

    /// Lets it end, and reads its logs.
    pub fn end(self, arena: &mut Arena) -> Result<Samples, AnyError> {
        arena.client.run(&format!("select pg_advisory_unlock({END})"))?;
        let output = self.process.wait_with_output()?;
        if !output.status.success() {
            return Err(format!("pgbench failed:\n{}", String::from_utf8_lossy(&output.stderr)).into());
        }
        let cpu = process::cpu_of_ended_children()? - self.cpu_before;
        let log = Log::read(&self.logs, self.fetch, transactions(self.calls_a_client, self.fetch))?;
        let share_of_fetching = log.fetching.as_secs_f64() / log.all.as_secs_f64();
        Ok(Samples { samples: log.samples, generator_cpu: cpu, share_of_fetching })
    }
}

/// The number of transactions of a client, up to its last call.
fn transactions(calls: u64, fetch: u64) -> u64 {
    LEAD_IN + calls + calls.div_ceil(fetch)
}

/// Transactions of a client before its first call: one reads the tables, one waits.
const LEAD_IN: u64 = 2;

/// Waiting at the end.
const LEAD_OUT: u64 = 1;

/// The settings of a session.
fn session(tables: &Tables) -> String {
    match tables.create {
        Some(_) => LEAN_SESSION.to_owned(),
        None => {
            PLANNING.iter().fold(SESSION.to_owned(), |session, (name, value)| format!("{session} -c {name}={value}"))
        }
    }
}

/// The logs of pgbench: one line for each transaction, with its end and its duration.
struct Log {
    samples: Vec<Sample>,
    fetching: Duration,
    all: Duration,
}

impl Log {
    fn read(folder: &Path, fetch: u64, transactions: u64) -> Result<Log, AnyError> {
        let mut log = Log { samples: Vec::new(), fetching: Duration::ZERO, all: Duration::ZERO };
        let mut ended: BTreeMap<usize, u64> = BTreeMap::new();
        let mut lines = String::new();
        for file in fs::read_dir(folder)? {
            lines.push_str(&fs::read_to_string(file?.path())?);
        }
        for line in lines.lines() {
            let (client, took, end) = parse(line).ok_or_else(|| format!("pgbench logged `{line}`"))?;
            let transaction = ended.entry(client).or_default();
            *transaction += 1;
            if *transaction > transactions {
                continue;
            }
            // The lead-in, and the first fetch with its calls, are the warm-up.
            let Some(place) = transaction.checked_sub(LEAD_IN + fetch + 2) else { continue };
            if place.is_multiple_of(fetch + 1) {
                log.fetching += took;
            } else {
                log.samples.push(Sample { client, begin: end.saturating_sub(took), end });
            }
            log.all += took;
        }
        Ok(log)
    }
}

/// Client, duration and end, from a line "client transaction µs script seconds µs".
fn parse(line: &str) -> Option<(usize, Duration, Duration)> {
    let fields: Vec<u64> = line.split(' ').map_while(|field| field.parse().ok()).collect();
    let [client, _, took, _, seconds, microseconds, ..] = fields[..] else { return None };
    let end = Duration::from_secs(seconds) + Duration::from_micros(microseconds);
    Some((usize::try_from(client).ok()?, Duration::from_micros(took), end))
}
