//! Measures how the cost of a call grows with its ids, the cost of other calls than deletions, and the start of the service.
//!
//! To compare sizes of the table and depths of the tree, run it with other values of `--contacts` and `--depth`.

use std::thread;
use std::time::Duration;

use uuid::Uuid;

use crate::AnyError;
use crate::arena::Call;
use crate::cluster::COPY;
use crate::load::{self, DELETED, Expected, Request};
use crate::measure::Bench;
use crate::options::Options;
use crate::program::Program;
use crate::report::{self, DELETION, Kind, median};
use crate::run::Run;
use crate::world::Leaves;

const STARTS: usize = 5;

/// The time for which a service is idle before its memory is measured.
const IDLE: Duration = Duration::from_secs(1);

/// The prefix of the names of refusals.
pub const REFUSAL: &str = "refusal";

/// The ids of a call, unless their number is what is measured.
const IDS: u64 = 10;

/// Longer lists, of which some ids are refused.
const MANY_IDS: u64 = 100;

/// The calls in a run of each kind, if a run takes one second.
const CALLS: f64 = 1500.0;

const FEWEST_CALLS_A_CONNECTION: u64 = 6;

const UNKNOWN: Expected = Expected { status: 404, contains: "CUSTOMER_1017" };
const NOT_YOURS: Expected = Expected { status: 404, contains: "AUTH_1010" };
const NO_CUSTOMER: Expected = Expected { status: 404, contains: "CUSTOMER_1002" };
const REPLAYED: Expected = Expected { status: 200, contains: "idempotency-replayed: true" };

/// Starts the service a few times, and measures how soon it is ready and how much memory it takes.
pub fn start_up(bench: &mut Bench) -> Result<(), AnyError> {
    let url = bench.cluster().url(COPY);
    let log = bench.cluster().file("start.log");
    let mut ready_after = Vec::new();
    let mut memory = Vec::new();
    for _ in 0..STARTS {
        let service = Program::service(&bench.cluster().service, &url, &log)?;
        ready_after.push(service.ready_after.as_secs_f64() * 1000.0);
        thread::sleep(IDLE);
        memory.push(service.memory()?);
        service.stop()?;
    }
    println!("\n### The start, median of {STARTS}\n");
    println!("- ready after {:.0} ms", median(ready_after));
    println!("- idle: {:.1} MB of RSS", median(memory));
    Ok(())
}

/// Lets the service answer calls of every kind, in turn.
pub fn calls(bench: &mut Bench, options: &Options) -> Result<Vec<Kind>, AnyError> {
    let connections = options.connections.iter().copied().max_by_key(|number| (*number <= 32, *number)).unwrap_or(32);
    let mut kinds: Vec<Kind> = Vec::new();
    for round in 0..=options.rounds {
        eprintln!("growth, round {round} of {}", options.rounds);
        let of_round = round_of_kinds(bench, options, connections)?;
        if round == 1 {
            kinds = of_round;
        } else if round > 1 {
            kinds.iter_mut().zip(of_round).for_each(|(kind, more)| kind.runs.extend(more.runs));
        }
    }
    if let Some(measure) = kinds.iter().find(|kind| kind.ids_per_call == IDS && kind.connections == connections) {
        report::costs(&kinds, measure);
    }
    Ok(kinds)
}

fn round_of_kinds(bench: &mut Bench, options: &Options, connections: usize) -> Result<Vec<Kind>, AnyError> {
    let mut kinds = Vec::new();
    let calls = ((CALLS * options.seconds) as u64).max(20);
    let calls_with = |ids: u64, connections: usize| {
        (calls * (IDS + 9) / (ids + 9)).max(connections as u64 * FEWEST_CALLS_A_CONNECTION)
    };
    for ids_per_call in &options.ids {
        for connections in [1, connections] {
            let calls = calls_with(*ids_per_call, connections);
            let slice = bench.take(Leaves::of_calls(*ids_per_call), *ids_per_call, calls)?;
            let runs = vec![bench.delete(&slice, connections)?];
            kinds.push(Kind { name: DELETION, ids_per_call: *ids_per_call, connections, runs });
        }
    }
    let mut add = |name, ids_per_call, run| kinds.push(Kind { name, ids_per_call, connections, runs: vec![run] });
    let slice = bench.take(Leaves::OfLargeRequester, IDS, calls_with(IDS, connections))?;
    add("deletion: one requester asks for all", IDS, bench.delete(&slice, connections)?);
    for ids in [IDS, MANY_IDS] {
        let calls = calls_with(ids, connections);
        add("refusal: one id is unknown", ids, refusal(bench, (ids, calls), connections, UNKNOWN, with_unknown_id)?);
        add("refusal: one id is foreign", ids, refusal(bench, (ids, calls), connections, NOT_YOURS, with_foreign_id)?);
    }
    let calls = calls_with(IDS, connections);
    let foreign_customer = refusal(bench, (IDS, calls), connections, NO_CUSTOMER, of_another_requester)?;
    add("refusal: a customer outside the tree", IDS, foreign_customer);
    let (replay, status, details) = repeated(bench, calls, connections)?;
    add("replay", IDS, replay);
    add("status, v2", IDS, status);
    add("status, v3", IDS, details);
    Ok(kinds)
}

/// Sends calls that are refused. The invalid part of each call is taken from the next call.
fn refusal(
    bench: &mut Bench,
    (ids, calls): (u64, u64),
    connections: usize,
    expected: Expected,
    spoil: fn(&Call, &Call) -> Call,
) -> Result<Run, AnyError> {
    let slice = bench.take(Leaves::of_calls(ids), ids, calls)?;
    let arena = bench.arena()?;
    let calls = arena.calls(&slice)?;
    let requests: Vec<Request> =
        (calls.iter().zip(calls.iter().cycle().skip(1))).map(|(call, next)| spoil(call, next).request("")).collect();
    arena.refused(requests.len() as u64);
    bench.send(requests, connections, expected)
}

fn with_unknown_id(call: &Call, _: &Call) -> Call {
    with_last_id(call, Uuid::now_v7().to_string())
}

fn with_foreign_id(call: &Call, next: &Call) -> Call {
    with_last_id(call, next.ids[0].clone())
}

fn with_last_id(call: &Call, id: String) -> Call {
    let mut ids = call.ids.clone();
    ids.pop();
    ids.push(id);
    Call { ids, ..call.clone() }
}

fn of_another_requester(call: &Call, next: &Call) -> Call {
    Call { requester: next.requester.clone(), ..call.clone() }
}

/// Sends calls a second time under their idempotency keys, and then both status calls about their operations.
fn repeated(bench: &mut Bench, calls: u64, connections: usize) -> Result<(Run, Run, Run), AnyError> {
    let slice = bench.take(Leaves::WithFew, IDS, calls)?;
    let arena = bench.arena()?;
    arena.deleted(slice);
    let calls = arena.calls(&slice)?;
    let requests: Vec<Request> =
        (calls.iter()).map(|call| call.request(&format!("Idempotency-Key: {}\r\n", call.ids[0]))).collect();
    bench.send(requests.clone(), connections, DELETED)?;
    let replay = bench.send(requests, connections, REPLAYED)?;

    let operations: Vec<(String, String)> = bench.arena()?.client.rows(
        "select id::text, requester_id::text from operation
         where resource = 'contact' and status = 'SUCCESS' and idempotency_key is not null",
    )?;
    let mut ask = |version: &str, contains| {
        let requests = (operations.iter())
            .map(|(id, requester)| load::status(&format!("/api/{version}/global/call/{id}"), requester))
            .collect();
        bench.send(requests, connections, Expected { status: 200, contains })
    };
    Ok((
        replay,
        ask("v2", "[{\"status\":\"SUCCESS\"}]")?,
        ask("v3", "\"status\":\"SUCCESS\",\"resource\":\"contact\"")?,
    ))
}
