//! Measures the service against PostgreSQL itself: `pgbench` with the service's own statement is 1.00.
//!
//! One run starts a private PostgreSQL, loads a world, and lets three programs delete contacts in turn: pgbench, the service
//! over HTTP, and "the usual way", a service with a statement for every step. It prints tables for docs/speed.md, and fails where
//! an answer was no success or other rows were deleted than were asked for.

mod arena;
mod client;
mod cluster;
mod growth;
mod load;
mod machine;
mod measure;
mod options;
mod pgbench;
mod process;
mod program;
mod report;
mod samples;
mod usual_way;
mod world;

use std::env;
use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use self::cluster::Cluster;
use self::measure::Bench;
use self::options::Options;
use self::world::World;

/// Anything that ends the benchmark, with a text for people.
type AnyError = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let result = match env::args().nth(1).as_deref() {
        Some(usual_way::COMMAND) => usual_way::serve(),
        _ if env::args().any(|argument| argument == "--bench") => measure_all(&Options::read()),
        // `cargo test --all-targets` starts it like this.
        _ => {
            println!("nothing is measured without --bench; `cargo bench --bench against_pgbench` passes it");
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("against_pgbench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure_all(options: &Options) -> Result<(), AnyError> {
    let began = Instant::now();
    let worlds = options.worlds()?;
    // A server for each: a checkpoint in one makes the next writers log whole pages, and a copy of a world takes checkpoints.
    let start = |world: &World| Cluster::start(&options.data_dir.join(world.name()));
    let clusters = worlds.iter().map(start).collect::<Result<Vec<Cluster>, AnyError>>()?;
    if let Some(cluster) = clusters.first() {
        machine::describe(cluster, &worlds)?;
    }
    for (cluster, world) in clusters.iter().zip(&worlds) {
        cluster.load(world)?;
    }
    let benches = clusters.iter().zip(&worlds).map(|(cluster, world)| Bench::new(cluster, world));
    let mut benches = benches.collect::<Result<Vec<Bench>, AnyError>>()?;
    if options.measures_cells() {
        for ids_per_call in &options.ids {
            let cells = measure::compare(&mut benches, options, *ids_per_call)?;
            report::comparison(*ids_per_call, &worlds, &cells);
        }
    }
    for bench in &mut benches {
        if options.growth {
            growth::start_up(bench)?;
            growth::calls(bench, options)?;
        }
    }
    for bench in benches {
        bench.end()?;
    }
    for cluster in clusters {
        cluster.end(options.keep)?;
    }
    // Where nothing is kept in it.
    let _ = fs::remove_dir(&options.data_dir);
    println!("\nEvery answer was as it must be, and exactly the rows that were asked for are deleted.");
    println!("The run took {:.0} s.", began.elapsed().as_secs_f64());
    Ok(())
}
