//! The private PostgreSQL: its settings, the loaded world, and fresh copies of it.

use std::fs;
use std::path::{Path, PathBuf};

use customer_deletion::private_postgres::{Durability, PrivatePostgres};

use crate::AnyError;
use crate::client::Client;
use crate::process;
use crate::program;
use crate::tables::Tables;
use crate::world::World;

/// The database that the programs work in: a copy of the world.
pub const COPY: &str = "bench";

/// The name of a world while it is being loaded.
const UNFINISHED: &str = "unfinished";

/// Usual settings for such a load, but without checkpoints and autovacuum, which would disturb a run: after a checkpoint, the
/// first change of each page logs the whole page. The defaults for durability stay.
const SETTINGS: [(&str, &str); 6] = [
    ("checkpoint_timeout", "1d"),
    ("max_wal_size", "16GB"),
    ("min_wal_size", "2GB"),
    ("max_connections", "200"),
    ("autovacuum", "off"),
    ("jit", "off"),
];

/// `shared_buffers` is the machine's memory divided by this, up to a maximum.
const SHARE_OF_MEMORY: u64 = 4;
const MOST_BUFFERS_MB: u64 = 8192;

pub struct Cluster {
    pub tables: &'static Tables,
    /// The build of the service that uses the tables, unless they are lean.
    pub service: PathBuf,
    postgres: PrivatePostgres,
    folder: PathBuf,
    process: u32,
    programs: PathBuf,
}

impl Cluster {
    /// Starts the server with its settings.
    pub fn start(folder: &Path, tables: &'static Tables, service: PathBuf) -> Result<Cluster, AnyError> {
        process::require_linux()?;
        let postgres = PrivatePostgres::start(folder, Durability::Durable)?;
        let mut client = Client::connect(&postgres.url("postgres"))?;
        for (setting, value) in SETTINGS {
            client.run(&format!("alter system set {setting} = '{value}'"))?;
        }
        client.run(&format!("alter system set shared_buffers = '{}MB'", buffers_mb()?))?;
        drop(client);
        // Some settings are read only when the server starts.
        drop(postgres);
        let postgres = PrivatePostgres::start(folder, Durability::Durable)?;

        let notes = fs::read_to_string(folder.join("cluster/postmaster.pid"))?;
        let process = notes.lines().next().unwrap_or_default().parse()?;
        let program = fs::read_link(format!("/proc/{process}/exe"))?;
        let programs = program.parent().ok_or("a server without a folder")?.to_owned();
        Ok(Cluster { tables, service, postgres, folder: folder.to_owned(), process, programs })
    }

    /// Stops the server, and deletes its data unless they are to be kept.
    pub fn end(self, keep: bool) -> Result<(), AnyError> {
        drop(self.postgres);
        if !keep {
            fs::remove_dir_all(self.folder)?;
        }
        Ok(())
    }

    pub fn url(&self, database: &str) -> String {
        self.postgres.url(database)
    }

    pub fn client(&self, database: &str) -> Result<Client, AnyError> {
        Client::connect(&self.url(database))
    }

    /// A file in the benchmark's folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Seconds of processor time of the whole server.
    pub fn cpu(&self) -> Result<f64, AnyError> {
        process::cpu_with_children(self.process)
    }

    /// pgbench of the same version.
    pub fn pgbench(&self) -> Result<PathBuf, AnyError> {
        let pgbench = self.programs.join("pgbench");
        if pgbench.is_file() {
            return Ok(pgbench);
        }
        let programs = self.programs.display();
        Err(format!(
            "there is no pgbench beside PostgreSQL in {programs}; it comes with the distribution's packages \
             (Debian: postgresql), and CUSTOMER_DELETION_DEMO_PG_BIN names the folder of another PostgreSQL"
        )
        .into())
    }

    /// Loads the world, unless an earlier benchmark has.
    pub fn load(&self, world: &World) -> Result<(), AnyError> {
        let mut client = self.client("postgres")?;
        let name = world.database(self.tables);
        if client.number(&format!("select count(*) from pg_database where datname = '{name}'"))? == 1 {
            return Ok(());
        }
        let World { customers, contacts, .. } = world;
        eprintln!("loading {customers} customers and {contacts} contacts, {} tables", self.tables.name);
        client.run(&format!("drop database if exists {UNFINISHED} with (force)"))?;
        client.run(&format!("create database {UNFINISHED}"))?;
        self.fill(world)?;
        client.run(&format!("alter database {UNFINISHED} rename to {name}"))
    }

    fn fill(&self, world: &World) -> Result<(), AnyError> {
        let mut client = self.client(UNFINISHED)?;
        match self.tables.create {
            Some(sql) => client.run(sql)?,
            None => program::migrate(&self.service, &self.url(UNFINISHED))?,
        }
        client.run(&world.sql(self.tables))?;
        if client.run("create extension pg_prewarm; create extension pageinspect").is_err() {
            return Err("PostgreSQL lacks pg_prewarm or pageinspect (Debian: in the package of the server)".into());
        }
        client.run("vacuum (analyze)")
    }

    /// Replaces the copy by a fresh one, with everything in memory.
    pub fn copy(&self, world: &World) -> Result<(), AnyError> {
        let mut client = self.client("postgres")?;
        client.run(&format!("drop database if exists {COPY} with (force)"))?;
        client.run(&format!("create database {COPY} template {} strategy file_copy", world.database(self.tables)))?;
        let mut client = self.client(COPY)?;
        client.run(
            "select pg_prewarm(oid::regclass) from pg_class
             where relkind in ('r', 'i', 't') and relnamespace = 'public'::regnamespace",
        )?;
        // The first change of a page since the last checkpoint logs the whole page. Freezing changes every page of the tables, and
        // reindexing writes the indexes anew. So the first run has the same cost as the last, as under a steady load.
        client.run("vacuum (freeze)")?;
        client.run(&format!("reindex table {}", self.tables.record))?;
        client.run(&world.age_sql())
    }
}

fn buffers_mb() -> Result<u64, AnyError> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:")).ok_or("a machine without memory")?;
    let kilobytes: u64 = line.trim_end_matches("kB").trim().parse()?;
    Ok((kilobytes / 1024 / SHARE_OF_MEMORY).min(MOST_BUFFERS_MB))
}
