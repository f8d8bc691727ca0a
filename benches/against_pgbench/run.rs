//! The figures of a run: throughput, latency, processor time, WAL and memory.

use std::time::Duration;

use crate::AnyError;
use crate::arena::Arena;
use crate::samples::Samples;

#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub calls: f64,
    pub calls_a_second: f64,
    pub p50: Duration,
    pub p99: Duration,
    /// Seconds of processor time for 1,000 calls: of the program, of PostgreSQL, of whatever sent the calls.
    pub program_cpu: f64,
    pub postgres_cpu: f64,
    pub generator_cpu: f64,
    /// Bytes of write-ahead log for a call.
    pub wal: f64,
    /// Megabytes of memory of the program, after the run.
    pub memory: f64,
    pub share_of_fetching: f64,
}

impl Run {
    pub fn new(used: &Used, samples: &Samples) -> Run {
        let calls = samples.samples.len() as f64;
        let (p50, p99) = samples.percentiles();
        Run {
            calls,
            calls_a_second: samples.calls_a_second(),
            p50,
            p99,
            program_cpu: used.program_cpu / calls * 1000.0,
            postgres_cpu: used.postgres_cpu / calls * 1000.0,
            generator_cpu: samples.generator_cpu / calls * 1000.0,
            wal: used.wal / calls,
            memory: used.memory,
            share_of_fetching: samples.share_of_fetching,
        }
    }
}

/// Counters since the start of the processes. The use of a run is the difference between two
/// readings.
pub struct Used {
    program_cpu: f64,
    postgres_cpu: f64,
    wal: f64,
    /// Not a counter: the memory at the time of reading.
    memory: f64,
}

impl Used {
    pub fn read(arena: &mut Arena) -> Result<Used, AnyError> {
        Ok(Used {
            program_cpu: arena.program.cpu()?,
            postgres_cpu: arena.cluster.cpu()?,
            wal: arena.client.number("select (pg_current_wal_insert_lsn() - '0/0')::bigint")? as f64,
            memory: arena.program.memory()?,
        })
    }

    pub fn since(&self, before: &Used) -> Used {
        Used {
            program_cpu: self.program_cpu - before.program_cpu,
            postgres_cpu: self.postgres_cpu - before.postgres_cpu,
            wal: self.wal - before.wal,
            memory: self.memory,
        }
    }
}
