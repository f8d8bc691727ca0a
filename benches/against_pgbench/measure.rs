//! Turns: one program, one number of connections, one number of ids a call, fresh rows. They alternate, and repeat.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use crate::AnyError;
use crate::arena::Arena;
use crate::cluster::Cluster;
use crate::load::{self, DELETED, Expected, Request};
use crate::options::Options;
use crate::pgbench::{self, Pgbench};
use crate::samples::Samples;
use crate::world::{Slice, World};

/// Calls that every client makes in a turn, at least, beside those that prepare the statements of pgbench.
const FEWEST_CALLS_A_CLIENT: u64 = 4;

/// By how many calls a second the length of the first turns is chosen: fewer for many ids. The turns that count go by what those have shown.
fn guessed_rate(ids_per_call: u64) -> f64 {
    50_000.0 / (20 + ids_per_call) as f64
}

/// Who deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    Pgbench,
    Service,
    UsualWay,
}

/// What a turn has shown.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    pub calls: f64,
    pub calls_a_second: f64,
    pub p50: Duration,
    pub p99: Duration,
    /// Seconds of processor time for 1,000 calls: of the service, of PostgreSQL, of whatever sent the calls.
    pub service_cpu: f64,
    pub postgres_cpu: f64,
    pub generator_cpu: f64,
    /// Bytes of write-ahead log for a call.
    pub wal: f64,
    /// Megabytes of memory of the service, after the turn.
    pub memory: f64,
    pub share_of_fetching: f64,
}

/// All turns of one program with one number of clients in one world.
pub struct Cell {
    /// The place of the world.
    pub world: usize,
    pub contender: Contender,
    pub clients: usize,
    pub turns: Vec<Turn>,
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

    /// Fresh rows, and a fresh copy of the world where the old one has not enough of them left.
    pub fn take(&mut self, ids_per_call: u64, calls: u64) -> Result<Slice, AnyError> {
        if let Some(slice) = self.arena()?.take(ids_per_call, calls) {
            return Ok(slice);
        }
        self.renew()?;
        let taken = self.arena()?.take(ids_per_call, calls);
        taken.ok_or_else(|| format!("the world has no rows for {calls} calls of {ids_per_call} ids").into())
    }

    fn renew(&mut self) -> Result<(), AnyError> {
        if let Some(arena) = self.arena.take() {
            arena.close()?;
        }
        self.arena = Some(Arena::open(self.cluster, self.world)?);
        Ok(())
    }

    /// Checks what the last turns have deleted.
    pub fn end(mut self) -> Result<(), AnyError> {
        self.arena.take().map_or(Ok(()), Arena::close)
    }

    fn turn(&mut self, contender: Contender, clients: usize, slice: Slice) -> Result<Turn, AnyError> {
        let arena = self.arena()?;
        arena.deleted(slice);
        if contender != Contender::Pgbench {
            let requests = arena.deletions(&slice)?;
            return self.send(contender, requests, clients, DELETED);
        }
        pgbench::prepare(arena, &slice, clients)?;
        let mut pgbench = Pgbench::start(arena, &slice, clients)?;
        let (used, ()) = self.watch(contender, |arena| pgbench.run(arena))?;
        Ok(Turn::new(&used, &pgbench.end(self.arena()?)?))
    }

    /// Sends requests to one of the services.
    pub fn send(
        &mut self,
        contender: Contender,
        requests: Vec<Request>,
        connections: usize,
        expected: Expected,
    ) -> Result<Turn, AnyError> {
        let (used, samples) = self.watch(contender, |arena| {
            let service = if contender == Contender::UsualWay { &arena.usual_way } else { &arena.service };
            load::send(service.address, requests, connections, expected)
        })?;
        Ok(Turn::new(&used, &samples))
    }

    /// Lets a turn happen, and looks at what it uses up.
    fn watch<T>(
        &mut self,
        contender: Contender,
        turn: impl FnOnce(&mut Arena) -> Result<T, AnyError>,
    ) -> Result<(Used, T), AnyError> {
        let arena = self.arena()?;
        let before = Used::read(arena, contender)?;
        let result = turn(arena)?;
        let after = Used::read(arena, contender)?;
        Ok((after.since(&before), result))
    }
}

impl Turn {
    fn new(used: &Used, samples: &Samples) -> Turn {
        let calls = samples.samples.len() as f64;
        let (p50, p99) = samples.percentiles();
        Turn {
            calls,
            calls_a_second: samples.calls_a_second(),
            p50,
            p99,
            service_cpu: used.service_cpu / calls * 1000.0,
            postgres_cpu: used.postgres_cpu / calls * 1000.0,
            generator_cpu: samples.generator_cpu / calls * 1000.0,
            wal: used.wal / calls,
            memory: used.memory,
            share_of_fetching: samples.share_of_fetching,
        }
    }
}

/// What has been used up so far.
struct Used {
    service_cpu: f64,
    postgres_cpu: f64,
    wal: f64,
    /// Not used up, but taken now.
    memory: f64,
}

impl Used {
    fn read(arena: &mut Arena, contender: Contender) -> Result<Used, AnyError> {
        let wal = arena.client.number("select (pg_current_wal_insert_lsn() - '0/0')::bigint")? as f64;
        let service = match contender {
            Contender::Pgbench => None,
            Contender::Service => Some(&arena.service),
            Contender::UsualWay => Some(&arena.usual_way),
        };
        Ok(Used {
            service_cpu: service.map_or(Ok(0.0), |service| service.cpu())?,
            postgres_cpu: arena.cluster.cpu()?,
            wal,
            memory: service.map_or(Ok(0.0), |service| service.memory())?,
        })
    }

    fn since(&self, before: &Used) -> Used {
        Used {
            service_cpu: self.service_cpu - before.service_cpu,
            postgres_cpu: self.postgres_cpu - before.postgres_cpu,
            wal: self.wal - before.wal,
            memory: self.memory,
        }
    }
}

/// Lets every program have its turns with calls of so many ids in every world.
pub fn compare(benches: &mut [Bench], options: &Options, ids_per_call: u64) -> Result<Vec<Cell>, AnyError> {
    // Turns are of one length in all worlds, and as long as the smallest can bear.
    let most = benches.iter().map(|bench| most_calls(bench.world(), ids_per_call)).min().unwrap_or_default();
    let mut cells = cells(options, benches.len());
    cells.retain(|cell| {
        let enough = fewest_calls(cell, ids_per_call) <= most;
        if !enough {
            eprintln!("too few contacts for {ids_per_call} ids on {} connections", cell.clients);
        }
        enough
    });
    let mut rates = vec![guessed_rate(ids_per_call); cells.len()];
    // The first round finds out how many calls the turns of the others must have.
    for round in 0..=options.rounds {
        eprintln!("{ids_per_call} ids a call, round {round} of {}", options.rounds);
        for place in order(cells.len(), round) {
            let cell = &mut cells[place];
            let bench = &mut benches[cell.world];
            let calls = calls(cell, ids_per_call, rates[place] * options.seconds, most);
            let slice = bench.take(ids_per_call, calls)?;
            let turn = bench.turn(cell.contender, cell.clients, slice)?;
            rates[place] = turn.calls_a_second;
            if round > 0 {
                cell.turns.push(turn);
            }
        }
    }
    Ok(cells)
}

/// Another one in every round, and the same ones in every run: nobody is always the one who comes after a certain other.
fn order(cells: usize, round: u32) -> Vec<usize> {
    let mut places: Vec<usize> = (0..cells).collect();
    places.sort_by_cached_key(|place| {
        let mut hasher = DefaultHasher::new();
        (round, place).hash(&mut hasher);
        hasher.finish()
    });
    places
}

/// Who has turns with how many clients.
fn cells(options: &Options, worlds: usize) -> Vec<Cell> {
    let mut cells = Vec::new();
    for world in 0..worlds {
        for clients in options.pgbench_clients() {
            let mut add = |contender| cells.push(Cell { world, contender, clients, turns: Vec::new() });
            add(Contender::Pgbench);
            if options.connections.contains(&clients) {
                add(Contender::Service);
                add(Contender::UsualWay);
            }
        }
    }
    cells
}

/// As many calls as are wanted, as there are rows for, and as give every client of pgbench the same number.
fn calls(cell: &Cell, ids_per_call: u64, wanted: f64, most: u64) -> u64 {
    let clients = cell.clients as u64;
    let warm_up = if cell.contender == Contender::Pgbench { clients * pgbench::calls_a_fetch(ids_per_call) } else { 0 };
    let calls = (wanted as u64 + warm_up).clamp(fewest_calls(cell, ids_per_call), most);
    calls / clients * clients
}

fn fewest_calls(cell: &Cell, ids_per_call: u64) -> u64 {
    cell.clients as u64 * (pgbench::calls_a_fetch(ids_per_call) + FEWEST_CALLS_A_CLIENT)
}

/// Some of a fresh world goes into the warm-up.
fn most_calls(world: &World, ids_per_call: u64) -> u64 {
    world.most_calls(ids_per_call) * 4 / 5
}
