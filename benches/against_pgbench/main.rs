//! Measures the service against PostgreSQL itself. The speed of pgbench with the leanest deletion on the leanest tables is 1.00.
//!
//! The benchmark starts two private PostgreSQL servers, one with the lean tables and one with the
//! service's, and loads the same rows into both. Then programs delete contacts in turn: pgbench
//! with the statement of each, the service over HTTP, and "the usual way", a service with a
//! statement for every step on the lean tables. The benchmark prints tables for docs/speed.md. It
//! fails if a call failed, or if the deleted rows are not exactly the requested ones.

mod arena;
mod client;
mod cluster;
mod goals;
mod growth;
mod load;
mod machine;
mod measure;
mod options;
mod pgbench;
mod process;
mod program;
mod report;
mod run;
mod samples;
mod script;
mod tables;
mod usual_way;
mod world;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use self::cluster::Cluster;
use self::goals::Goals;
use self::measure::Bench;
use self::options::{Options, Part};
use self::tables::Tables;
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
    let placed: Vec<_> = worlds.iter().flat_map(|world| options.tables().map(|tables| (world, tables))).collect();
    // One server for each kind of tables. To copy a world takes checkpoints, after which writers log whole pages again.
    let start = |(world, (tables, service)): &(&World, (&'static Tables, PathBuf))| {
        let folder = options.data_dir.join(format!("{}_{}", world.name(), tables.name));
        if options.baseline.is_some() && folder.exists() {
            // A benchmark that failed may have left the tables of another build.
            fs::remove_dir_all(&folder)?;
        }
        Cluster::start(&folder, tables, service.clone())
    };
    let clusters = placed.iter().map(start).collect::<Result<Vec<Cluster>, AnyError>>()?;
    if let Some(cluster) = clusters.first() {
        machine::describe(cluster, &worlds)?;
    }
    for (cluster, (world, _)) in clusters.iter().zip(&placed) {
        cluster.load(world)?;
    }
    let benches = clusters.iter().zip(&placed).map(|(cluster, (world, _))| Bench::new(cluster, world));
    let mut benches = benches.collect::<Result<Vec<Bench>, AnyError>>()?;
    let mut goals = Goals::default();
    if options.measures(Part::Comparison) {
        for ids_per_call in &options.ids {
            let cells = measure::compare(&mut benches, options, *ids_per_call)?;
            if options.baseline.is_some() {
                report::builds(*ids_per_call, &worlds, &cells);
            } else {
                report::comparison(*ids_per_call, &worlds, &cells);
            }
            goals.compared(*ids_per_call, &cells);
        }
    }
    if options.measures(Part::Costs) {
        for bench in benches.iter_mut().skip(1).step_by(tables::KINDS) {
            growth::start_up(bench)?;
            goals.costs(&growth::calls(bench, options)?);
        }
    }
    goals.print();
    for bench in benches {
        bench.end()?;
    }
    for cluster in clusters {
        cluster.end(options.keep)?;
    }
    // It fails if the folder is not empty.
    let _ = fs::remove_dir(&options.data_dir);
    println!("\nEvery answer was the expected one, and exactly the requested rows are deleted.");
    println!("The benchmark took {:.0} s.", began.elapsed().as_secs_f64());
    Ok(())
}
