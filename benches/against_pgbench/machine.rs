//! Describes the machine on which the figures were measured.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use crate::AnyError;
use crate::cluster::Cluster;
use crate::world::World;

/// Prints the machine, the versions and the size of the worlds.
pub fn describe(cluster: &Cluster, worlds: &[World]) -> Result<(), AnyError> {
    let mut client = cluster.client("postgres")?;
    let cores = available_parallelism()?;
    println!("- Processor: {}, {cores} cores", field("/proc/cpuinfo", "model name"));
    println!("- Memory: {}", field("/proc/meminfo", "MemTotal"));
    println!("- Kernel: {}", fs::read_to_string("/proc/sys/kernel/osrelease")?.trim());
    println!("- Load before the benchmark: {}", fs::read_to_string("/proc/loadavg")?.trim());
    println!("- {}", client.text("select version()")?);
    for setting in ["fsync", "synchronous_commit", "full_page_writes", "shared_buffers"] {
        println!("- {setting}: {}", client.text(&format!("show {setting}"))?);
    }
    for world in worlds {
        println!("- World: {world} of {} customers, {} of whom are requesters", world.customers, world.requesters);
    }
    println!("- Revision: {}", revision().unwrap_or_else(|| "unknown".to_owned()));
    if cfg!(debug_assertions) {
        println!("- NOT OPTIMIZED: the figures of the services mean nothing");
    }
    Ok(())
}

/// The first value of a `name : value` file.
fn field(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(':'));
    line.map_or("unknown", |(_, value)| value.trim()).to_owned()
}

/// The commit of the source, and whether there are uncommitted changes.
fn revision() -> Option<String> {
    let mut git = Command::new("git");
    git.args(["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty", "--abbrev=10"]);
    let output = git.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
