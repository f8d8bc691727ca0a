//! Runs other programs, which can be cancelled.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tokio_util::sync::CancellationToken;

use super::launch_error::LaunchError;

const PAUSE: Duration = Duration::from_millis(10);

/// The lines of a log that an error shows.
const TAIL_LINES: usize = 12;

/// Sleeps for a moment. Fails if the work is cancelled.
pub fn pause(cancel: &CancellationToken) -> Result<(), LaunchError> {
    thread::sleep(PAUSE);
    if cancel.is_cancelled() { Err(LaunchError::Cancelled) } else { Ok(()) }
}

/// Runs a program to its end, with its output in a log. Kills it if cancelled.
pub fn run(
    name: &'static str,
    command: &mut Command,
    log: &Path,
    cancel: &CancellationToken,
) -> Result<(), LaunchError> {
    let failed = |output| LaunchError::Program { program: name, output, log: log.to_owned() };
    write_to(command, log).map_err(LaunchError::file(log))?;
    // In its own process group, so that `kill` includes its children.
    command.stdin(Stdio::null()).process_group(0);
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    match wait(&mut child, cancel) {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(failed(tail(log))),
        Err(error) => {
            kill(&mut child);
            Err(error)
        }
    }
}

/// Sends both outputs of a program to a new log.
pub fn write_to(command: &mut Command, log: &Path) -> io::Result<()> {
    let file = File::create(log)?;
    command.stderr(file.try_clone()?).stdout(file);
    Ok(())
}

fn wait(child: &mut Child, cancel: &CancellationToken) -> Result<ExitStatus, LaunchError> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) => pause(cancel)?,
            Err(error) => return Err(LaunchError::file(Path::new("a child process"))(error)),
        }
    }
}

/// Waits for the program to end. Returns false after a timeout.
pub fn ends_within(child: &mut Child, time: Duration) -> bool {
    let deadline = Instant::now() + time;
    while Instant::now() < deadline {
        if !matches!(child.try_wait(), Ok(None)) {
            return true;
        }
        thread::sleep(PAUSE);
    }
    false
}

/// Kills the whole process group that the program leads.
pub fn kill(child: &mut Child) {
    // Errors mean that there is nothing left to kill. The group has the id of its leader.
    let _ = rustix::process::kill_process_group(Pid::from_child(child), Signal::KILL);
    let _ = child.wait();
}

pub fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_else(|error| error.to_string().into_bytes());
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// Turns a missing file into success.
pub fn unless_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
