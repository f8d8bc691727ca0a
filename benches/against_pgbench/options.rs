//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::AnyError;
use crate::tables::{self, Tables};
use crate::world::{FEW, World};

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    Comparison,
    Costs,
}

/// Measures the service against the leanest deletion that PostgreSQL can do.
#[derive(Parser)]
#[command(bin_name = "cargo bench --bench against_pgbench --")]
pub struct Options {
    /// Contacts in the table. With several sizes or depths, every round measures all of them.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "2000000")]
    contacts: Vec<u64>,

    /// Customers in the tree. Without it, one for every 20 contacts.
    #[arg(long, value_name = "ROWS")]
    customers: Option<u64>,

    /// Levels of the tree of customers, from 2 to 50.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "5", value_parser = clap::value_parser!(u64).range(2..=50))]
    depth: Vec<u64>,

    /// Connections on which calls are sent at once.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1,8,32,64")]
    pub connections: Vec<usize>,

    /// Ids in a call.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1,10,100,1000")]
    pub ids: Vec<u64>,

    /// Clients of pgbench. The lean reference with the best number of clients is 1.00; it also runs with each number of connections.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "4,8,16,32")]
    pub clients: Vec<usize>,

    /// Rounds: the runs of each program.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,

    /// The approximate length of a run, in seconds.
    #[arg(long, default_value_t = 2.0)]
    pub seconds: f64,

    /// Measures only one part: the comparison of the programs, or the cost of each kind of call of the service.
    #[arg(long)]
    only: Option<Part>,

    /// Another build of the service. Its migrations make tables of its own. Only the two builds are compared.
    #[arg(long, value_name = "PROGRAM", conflicts_with_all = ["only", "keep"])]
    pub baseline: Option<PathBuf>,

    /// Uses little data and short runs. Shows whether everything works; the figures mean nothing.
    #[arg(long)]
    quick: bool,

    /// Keeps the loaded data for the next benchmark.
    #[arg(long)]
    pub keep: bool,

    /// The folder of the private PostgreSQL servers and their data.
    #[arg(long, value_name = "FOLDER", default_value = concat!(env!("CARGO_TARGET_TMPDIR"), "/against_pgbench"))]
    pub data_dir: PathBuf,

    /// Passed by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    pub fn read() -> Options {
        let mut options = Options::parse();
        if options.quick {
            options.contacts = vec![40_000];
            options.customers = None;
            options.connections = vec![1, 8];
            options.clients = vec![8];
            options.ids = vec![1, 10, 100];
            options.rounds = 1;
            options.seconds = 0.2;
        }
        options
    }

    /// A world of each size with each depth.
    pub fn worlds(&self) -> Result<Vec<World>, AnyError> {
        let sizes = self.contacts.iter().flat_map(|contacts| self.depth.iter().map(move |depth| (*contacts, *depth)));
        sizes.map(|(contacts, depth)| World::new(contacts, self.customers.unwrap_or(contacts / FEW), depth)).collect()
    }

    pub fn measures(&self, part: Part) -> bool {
        if self.baseline.is_some() { part == Part::Comparison } else { self.only.is_none_or(|only| only == part) }
    }

    /// The tables, each with the build of the service that uses them.
    pub fn tables(&self) -> [(&'static Tables, PathBuf); tables::KINDS] {
        let this_build = PathBuf::from(env!("CARGO_BIN_EXE_customer-deletion"));
        let first = match &self.baseline {
            Some(program) => (&tables::BASELINE, program.clone()),
            None => (&tables::LEAN, this_build.clone()),
        };
        [first, (&tables::SERVICE, this_build)]
    }

    /// All numbers of clients and of connections. The lean reference runs with each.
    pub fn all_clients(&self) -> Vec<usize> {
        let mut clients = [self.clients.as_slice(), &self.connections].concat();
        clients.sort_unstable();
        clients.dedup();
        clients
    }
}
