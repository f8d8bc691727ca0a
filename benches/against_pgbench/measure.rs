//! Makes the runs. In a run, one program deletes fresh rows, on one number of connections, with one number of ids a call. The
//! programs take turns in every round.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use crate::AnyError;
use crate::arena::Arena;
use crate::cluster::Cluster;
use crate::load::{self, DELETED, Expected, Request};
use crate::options::Options;
use crate::pgbench::Pgbench;
use crate::run::{Run, Used};
use crate::script;
use crate::tables;
use crate::world::{Leaves, Slice, World};

/// The fewest calls of a client in a run, besides those that prepare the statements of pgbench.
const FEWEST_CALLS_A_CLIENT: u64 = 4;

/// The assumed calls per second of the first round, whose figures are not used. Later rounds take the measured rate.
fn guessed_rate(ids_per_call: u64) -> f64 {
    50_000.0 / (20 + ids_per_call) as f64
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// pgbench with the lean statement on the lean tables: 1.00.
    Lean,
    /// pgbench with the service's statement on the service's tables.
    OwnStatement,
    Service,
    /// On the lean tables.
    UsualWay,
    /// Another build of the service, on tables of its own.
    Baseline,
}

impl Contender {
    pub fn is_pgbench(self) -> bool {
        matches!(self, Contender::Lean | Contender::OwnStatement)
    }

    /// The index of its tables.
    fn tables(self) -> usize {
        match self {
            Contender::Lean | Contender::UsualWay | Contender::Baseline => 0,
            Contender::OwnStatement | Contender::Service => 1,
        }
    }
}

/// All runs of one program with one number of clients in one world.
pub struct Cell {
    /// The index of the world.
    pub world: usize,
    pub contender: Contender,
    pub clients: usize,
    pub runs: Vec<Run>,
}

pub struct Bench<'a> {
    cluster: &'a Cluster,
    world: &'a World,
    arena: Option<Arena<'a>>,
}

impl<'a> Bench<'a> {
    pub fn new(cluster: &'a Cluster, world: &'a World) -> Result<Bench<'a>, AnyError> {
        cluster.pgbench()?;
        Ok(Bench { cluster, world, arena: Some(Arena::open(cluster, world)?) })
    }

    pub fn world(&self) -> &World {
        self.world
    }

    pub fn cluster(&self) -> &Cluster {
        self.cluster
    }

    pub fn arena(&mut self) -> Result<&mut Arena<'a>, AnyError> {
        self.arena.as_mut().ok_or_else(|| "the arena could not be made anew".into())
    }

    /// Reserves fresh rows. Replaces the copy of the world by a fresh one if too few are left.
    pub fn take(&mut self, leaves: Leaves, ids_per_call: u64, calls: u64) -> Result<Slice, AnyError> {
        if let Some(slice) = self.arena()?.take(leaves, ids_per_call, calls) {
            return Ok(slice);
        }
        self.renew()?;
        let taken = self.arena()?.take(leaves, ids_per_call, calls);
        taken.ok_or_else(|| format!("the world has no rows for {calls} calls of {ids_per_call} ids").into())
    }

    fn renew(&mut self) -> Result<(), AnyError> {
        if let Some(arena) = self.arena.take() {
            arena.close()?;
        }
        self.arena = Some(Arena::open(self.cluster, self.world)?);
        Ok(())
    }

    /// Checks what the last runs have deleted.
    pub fn end(mut self) -> Result<(), AnyError> {
        self.arena.take().map_or(Ok(()), Arena::close)
    }

    fn run(&mut self, contender: Contender, clients: usize, slice: Slice) -> Result<Run, AnyError> {
        if !contender.is_pgbench() {
            return self.delete(&slice, clients);
        }
        let arena = self.arena()?;
        arena.deleted(slice);
        let mut pgbench = Pgbench::start(arena, &slice, clients)?;
        let (used, ()) = self.watch(|arena| pgbench.run(arena))?;
        Ok(Run::new(&used, &pgbench.end(self.arena()?)?))
    }

    /// Sends the calls of the slice to the program.
    pub fn delete(&mut self, slice: &Slice, connections: usize) -> Result<Run, AnyError> {
        let arena = self.arena()?;
        arena.deleted(*slice);
        let requests = arena.deletions(slice)?;
        self.send(requests, connections, DELETED)
    }

    /// Sends requests to the program.
    pub fn send(&mut self, requests: Vec<Request>, connections: usize, expected: Expected) -> Result<Run, AnyError> {
        let (used, samples) = self.watch(|arena| load::send(arena.program.address, requests, connections, expected))?;
        Ok(Run::new(&used, &samples))
    }

    /// Makes a run, and measures what it uses.
    fn watch<T>(&mut self, run: impl FnOnce(&mut Arena) -> Result<T, AnyError>) -> Result<(Used, T), AnyError> {
        let arena = self.arena()?;
        let before = Used::read(arena)?;
        let result = run(arena)?;
        let after = Used::read(arena)?;
        Ok((after.since(&before), result))
    }
}

/// Makes the runs of every program in every world, with calls of so many ids. Each world has a bench for each kind of tables.
pub fn compare(benches: &mut [Bench], options: &Options, ids_per_call: u64) -> Result<Vec<Cell>, AnyError> {
    // Runs have one length in all worlds: as long as the smallest world has rows for.
    let most = benches.iter().map(|bench| most_calls(bench.world(), ids_per_call)).min().unwrap_or_default();
    let mut cells = cells(options, benches.len() / tables::KINDS);
    cells.retain(|cell| {
        let enough = fewest_calls(cell, ids_per_call) <= most;
        if !enough {
            eprintln!("too few contacts for {ids_per_call} ids on {} connections", cell.clients);
        }
        enough
    });
    let mut rates = vec![guessed_rate(ids_per_call); cells.len()];
    // The first round measures how many calls a run of the other rounds needs.
    for round in 0..=options.rounds {
        eprintln!("{ids_per_call} ids a call, round {round} of {}", options.rounds);
        for place in order(cells.len(), round) {
            let cell = &mut cells[place];
            let bench = &mut benches[cell.world * tables::KINDS + cell.contender.tables()];
            let calls = calls(cell, ids_per_call, rates[place] * options.seconds, most);
            let slice = bench.take(Leaves::of_calls(ids_per_call), ids_per_call, calls)?;
            let run = bench.run(cell.contender, cell.clients, slice)?;
            rates[place] = run.calls_a_second;
            if round > 0 {
                cell.runs.push(run);
            }
        }
    }
    Ok(cells)
}

/// A shuffled order, another one in each round, so that no program always follows the same other one. Every benchmark has the same
/// orders.
fn order(cells: usize, round: u32) -> Vec<usize> {
    let mut places: Vec<usize> = (0..cells).collect();
    places.sort_by_cached_key(|place| {
        let mut hasher = DefaultHasher::new();
        (round, place).hash(&mut hasher);
        hasher.finish()
    });
    places
}

/// Each program with each number of its clients, in each world.
fn cells(options: &Options, worlds: usize) -> Vec<Cell> {
    let mut cells = Vec::new();
    for world in 0..worlds {
        for clients in options.all_clients() {
            let mut add = |contender| cells.push(Cell { world, contender, clients, runs: Vec::new() });
            let is_measured = options.connections.contains(&clients);
            if options.baseline.is_some() {
                if is_measured {
                    add(Contender::Baseline);
                    add(Contender::Service);
                }
                continue;
            }
            add(Contender::Lean);
            if options.clients.contains(&clients) {
                add(Contender::OwnStatement);
            }
            if is_measured {
                add(Contender::Service);
                add(Contender::UsualWay);
            }
        }
    }
    cells
}

/// The wanted number of calls, limited by the rows. With pgbench, it is a multiple of the clients.
fn calls(cell: &Cell, ids_per_call: u64, wanted: f64, most: u64) -> u64 {
    let clients = cell.clients as u64;
    let warm_up = if cell.contender.is_pgbench() { clients * script::calls_a_fetch(ids_per_call) } else { 0 };
    let calls = (wanted as u64 + warm_up).clamp(fewest_calls(cell, ids_per_call), most);
    calls / clients * clients
}

fn fewest_calls(cell: &Cell, ids_per_call: u64) -> u64 {
    cell.clients as u64 * (script::calls_a_fetch(ids_per_call) + FEWEST_CALLS_A_CLIENT)
}

/// Some of a fresh world goes into the warm-up.
fn most_calls(world: &World, ids_per_call: u64) -> u64 {
    world.most_calls(ids_per_call) * 4 / 5
}
