//! pgbench with the service's own statement: what PostgreSQL can do on this machine.
//!
//! The statement is read from the file that the service runs, and only its parameters get other names: `-M prepared` sends
//! them as parameters again, with the session settings of the service. pgbench can compute numbers but no lists of ids, and a
//! statement that hashed them itself would spend more on that than on the deletion. So the parameters of all calls are put into
//! a table before the clock starts, and each client fetches those of its next calls in one look-up of a row. That look-up is a
//! transaction of its own in pgbench's log; its share of the time is printed, and is not taken off.
//!
//! pgbench sends text, and a parameter once for each place where it stands. So the list of ids is read once, in an expression
//! before all others; a long list is found there by its number, and what is sent is that.
//!
//! A pool's sessions are old: their statements are planned, and the pages of the shared memory are known to their processes.
//! pgbench's are new in every turn, and would spend up to a third of their time on that. So each of them first reads the tables
//! and makes a few calls, and then waits for all the others. There the turn begins. It ends when all wait again: to end a process
//! that has touched so much memory takes as long as many calls.

use std::collections::BTreeMap;
use std::fmt::Write;
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
use crate::world::Slice;

const STATEMENT: &str = include_str!("../../src/repository/sql/delete_contacts.sql");

/// What `limit_session` in src/repository/database.rs sets. The limits are there, because they cost something, but they are
/// longer: pgbench gives up at the first statement that is ended, and on 64 connections a statement of 1,000 ids takes its time.
const SESSION: &str = "-c statement_timeout=30000 -c lock_timeout=20000 -c idle_in_transaction_session_timeout=30000 \
    -c tcp_user_timeout=2500 -c default_transaction_isolation=read\\ committed";

/// The fifth parameter of the statement: no idempotency key. pgbench cannot send a null, and for one that is written down the
/// planner would leave out what the service's plan has.
const NO_KEY: &str = "nullif(:no_key::text, 'none')";

/// The sixth: a call that waits for its outcome has no record yet. A parameter, for the same reason.
const NOT_RECORDED: &str = ":recorded::boolean";

/// The other parameters, in the order in which they lie in a row of the table.
const PARAMETERS: [(&str, &str, &str); 4] =
    [("$1", "operation", "::uuid"), ("$2", "requester", "::uuid"), ("$3", "customer", "::uuid"), ("$4", "ids", "")];

/// Threads of pgbench, which hardly do anything.
const THREADS: usize = 2;

/// The most ids that are sent as text.
const LONGEST_TEXT: u64 = 10;

/// The locks for which the clients wait before the turn begins, and at its end.
const BEGIN: u32 = 1;
const END: u32 = 2;

/// How long the clients may take until they all wait for one of them.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Touches every page that the statement goes through.
const WARM_UP: &str = "\
begin;
set local statement_timeout = 0;
select bench.touch(0, 1000000000000);
end;
";

/// How often it is looked whether they do.
const POLL: Duration = Duration::from_millis(50);

/// How many calls a client fetches at once. Each of them is a prepared statement of its own.
pub fn calls_a_fetch(ids_per_call: u64) -> u64 {
    match ids_per_call {
        0..=LONGEST_TEXT => 10,
        _ => 4,
    }
}

/// Puts the calls of the slice where the clients find them.
pub fn prepare(arena: &mut Arena, slice: &Slice, clients: usize) -> Result<(), AnyError> {
    fs::write(arena.cluster.file("pgbench.sql"), script(slice.ids_per_call)?)?;
    arena.client.run(
        "drop table if exists bench.list, bench.fetch;
         create unlogged table bench.list (number bigint primary key, ids uuid[]);
         create unlogged table bench.fetch (client bigint, turn bigint, parameters text[], primary key (client, turn));
         alter table bench.list alter ids set storage external;
         alter table bench.fetch alter parameters set storage external",
    )?;
    let calls = slice.sql();
    let mut ids = "ids::text";
    if slice.ids_per_call > LONGEST_TEXT {
        arena.client.run(&format!("insert into bench.list select number, ids from {calls}"))?;
        ids = "number::text";
    }
    // The operations' ids begin with the time, like those that the service makes.
    arena.client.run(&format!(
        "insert into bench.fetch
         select number % {clients}, number / {clients} / {fetch}, array_agg(parameter.text order by number, parameter.place)
         from {calls}
         cross join lateral unnest(array[
           lpad(to_hex((extract(epoch from now()) * 1000)::bigint), 12, '0') || '70008000' || lpad(to_hex(number), 12, '0'),
           requester_id::text, customer_id::text, {ids}
         ]) with ordinality as parameter (text, place)
         group by 1, 2",
        fetch = calls_a_fetch(slice.ids_per_call),
    ))
}

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
    /// Starts it with the calls that were prepared. Each client makes the first of them, and then waits for the turn to begin.
    pub fn start(arena: &mut Arena, slice: &Slice, clients: usize) -> Result<Pgbench, AnyError> {
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
                "--define=turn=0",
                &format!("--define=left={calls_a_client}"),
                &format!("--define=place={fetch}"),
                "--define=no_key=none",
                "--define=recorded=false",
            ])
            .arg(format!("--file={}", arena.cluster.file("pgbench.sql").display()))
            .arg(arena.cluster.url(COPY))
            .env("PGOPTIONS", session())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut pgbench = Pgbench { process, cpu_before, logs, clients, calls_a_client, fetch };
        pgbench.until_all_wait(arena, BEGIN)?;
        Ok(pgbench)
    }

    /// Lets the clients go, until they have made all their calls.
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

    /// Lets it end, and reads what it wrote down.
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

/// Transactions of a client, up to the last of its calls.
fn transactions(calls: u64, fetch: u64) -> u64 {
    LEAD_IN + calls + calls.div_ceil(fetch)
}

/// Transactions of a client that are no calls: reading the tables, and waiting.
const LEAD_IN: u64 = 2;

/// Waiting at the end.
const LEAD_OUT: u64 = 1;

/// The settings of a session of the service.
fn session() -> String {
    PLANNING.iter().fold(SESSION.to_owned(), |session, (name, value)| format!("{session} -c {name}={value}"))
}

/// One transaction is one call, or the fetch of the next ones.
fn script(ids_per_call: u64) -> Result<String, AnyError> {
    let statement = statement(ids_per_call)?;
    let fetch = calls_a_fetch(ids_per_call);
    let places: Vec<u64> = (0..fetch).collect();
    let columns: Vec<String> = (places.iter())
        .flat_map(|place| PARAMETERS.map(|(_, name, _)| format!("{name}_{place}")))
        .zip(1..)
        .map(|(name, index)| format!("next.parameters[{index}] as {name}"))
        .collect();
    let mut script = format!(
        "\\if :stage = 0\n{WARM_UP}\\set stage 1\n\
         \\elif :stage = 1 and :turn = 1 and :place = {fetch}\n{}\\set stage 2\n\
         \\elif :left = 0\n{}\
         \\elif :place = {fetch}\n\
         with next as materialized (\n  select parameters || '{{}}' as parameters from bench.fetch \
         where client = :client_id and turn = :turn\n)\n\
         select {} from next \\gset\n\\set turn :turn + 1\n\\set place 0\n",
        wait_for(BEGIN),
        wait_for(END),
        columns.join(", ")
    );
    for place in places {
        let statement = PARAMETERS.iter().fold(statement.clone(), |statement, (parameter, name, kind)| {
            statement.replace(parameter, &format!(":{name}_{place}{kind}"))
        });
        write!(script, "\\elif :place = {place}\n{statement};\n\\set place {}\n\\set left :left - 1\n", place + 1)?;
    }
    script.push_str("\\endif\n");
    Ok(script)
}

/// Waits until the benchmark gives the lock back.
fn wait_for(barrier: u32) -> String {
    format!(
        "set lock_timeout = 0;\nset statement_timeout = 0;\n\
         select pg_advisory_lock_shared({barrier});\nselect pg_advisory_unlock_shared({barrier});\n\
         reset lock_timeout;\nreset statement_timeout;\n"
    )
}

/// The service's statement without an idempotency key; with a number as its fourth parameter where the list is long.
fn statement(ids_per_call: u64) -> Result<String, AnyError> {
    const BEGINNING: &str = "with recursive\n";
    let statement = without_comments(STATEMENT).replace("$5", NO_KEY).replace("$6", NOT_RECORDED);
    let parameters = PARAMETERS.map(|(parameter, _, _)| parameter);
    let is_known = parameters.iter().all(|parameter| statement.contains(parameter))
        && parameters.iter().fold(statement.clone(), |rest, parameter| rest.replace(parameter, "")).find('$').is_none();
    if !is_known || !statement.starts_with(BEGINNING) {
        return Err("delete_contacts.sql is not the statement that the benchmark knows how to fill in".into());
    }
    let list = match ids_per_call {
        0..=LONGEST_TEXT => "select $4::uuid[] as ids",
        _ => "select list.ids from bench.list where list.number = $4::bigint",
    };
    let statement = statement.replace("$4", "((select wanted.ids from wanted)::uuid[])");
    Ok(statement.replacen(BEGINNING, &format!("{BEGINNING}wanted as materialized ({list}),\n"), 1))
}

/// pgbench would take a name behind a colon for a variable there as well.
fn without_comments(sql: &str) -> String {
    sql.lines().filter(|line| !line.trim_start().starts_with("--")).collect::<Vec<_>>().join("\n")
}

/// What pgbench wrote down: a line for each transaction, with its end and how long it took.
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
            // Up to here it warmed up: the lead-in, and one fetch with its calls.
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

/// The client, how long it took, and when it ended, of "client transaction µs script seconds µs".
fn parse(line: &str) -> Option<(usize, Duration, Duration)> {
    let fields: Vec<u64> = line.split(' ').map_while(|field| field.parse().ok()).collect();
    let [client, _, took, _, seconds, microseconds, ..] = fields[..] else { return None };
    let end = Duration::from_secs(seconds) + Duration::from_micros(microseconds);
    Some((usize::try_from(client).ok()?, Duration::from_micros(took), end))
}
