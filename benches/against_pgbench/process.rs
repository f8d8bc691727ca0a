//! Processor time and memory of processes, from /proc.

use std::fs;
use std::path::Path;

use crate::AnyError;

/// The unit of the times in /proc, on every Linux.
const TICKS_A_SECOND: f64 = 100.0;

/// Indexes of fields in /proc/…/stat, counted from the field after the name.
const PARENT: usize = 1;
const USER_TIME: usize = 11;
const SYSTEM_TIME: usize = 12;
const USER_TIME_OF_ENDED_CHILDREN: usize = 13;
const SYSTEM_TIME_OF_ENDED_CHILDREN: usize = 14;

/// Seconds of processor time of a process.
pub fn cpu(process: u32) -> Result<f64, AnyError> {
    let stat = Stat::read(process).ok_or_else(|| format!("process {process} is gone"))?;
    Ok(stat.seconds(&[USER_TIME, SYSTEM_TIME]))
}

/// Seconds of processor time of a process and its children, also of those that have ended.
pub fn cpu_with_children(process: u32) -> Result<f64, AnyError> {
    let own_fields = [USER_TIME, SYSTEM_TIME, USER_TIME_OF_ENDED_CHILDREN, SYSTEM_TIME_OF_ENDED_CHILDREN];
    let own = || Stat::read(process).map(|stat| stat.seconds(&own_fields)).ok_or("the server is gone");
    loop {
        let before = own()?;
        let others = fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let children = others.filter_map(Stat::read).filter(|other| other.0[PARENT] == u64::from(process));
        let children: f64 = children.map(|child| child.seconds(&[USER_TIME, SYSTEM_TIME])).sum();
        // A child that has ended in between could be in neither of the two, or in both.
        if own()? <= before {
            return Ok(before + children);
        }
    }
}

/// Seconds of processor time of this process's children that have ended.
pub fn cpu_of_ended_children() -> Result<f64, AnyError> {
    let stat = Stat::read(std::process::id()).ok_or("there is no /proc/self")?;
    Ok(stat.seconds(&[USER_TIME_OF_ENDED_CHILDREN, SYSTEM_TIME_OF_ENDED_CHILDREN]))
}

/// Seconds of processor time of the thread that asks.
pub fn cpu_of_this_thread() -> Result<f64, AnyError> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = text.split(' ').next().unwrap_or_default().parse()?;
    Ok(nanoseconds / 1e9)
}

/// Megabytes of memory of a process.
pub fn memory(process: u32) -> Result<f64, AnyError> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("a process without memory")?;
    let kilobytes: f64 = line.trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes / 1024.0)
}

/// Fails with a clear message if there is no such /proc.
pub fn require_linux() -> Result<(), AnyError> {
    if Path::new("/proc/thread-self/schedstat").exists() {
        return Ok(());
    }
    Err("processor time and memory are read from /proc, as Linux has it".into())
}

/// The fields of /proc/…/stat. A field that is negative or not a number is 0.
struct Stat(Vec<u64>);

impl Stat {
    fn read(process: u32) -> Option<Stat> {
        let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name before them may contain spaces and parentheses.
        let (_, fields) = text.rsplit_once(')')?;
        Some(Stat(fields.split_ascii_whitespace().map(|field| field.parse().unwrap_or(0)).collect()))
    }

    fn seconds(&self, fields: &[usize]) -> f64 {
        fields.iter().map(|field| self.0[*field] as f64).sum::<f64>() / TICKS_A_SECOND
    }
}
