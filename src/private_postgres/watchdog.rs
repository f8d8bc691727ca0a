//! Stops the server when this process ends, even by SIGKILL: a shell script reads from a pipe,
//! which closes then.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use super::program;

/// Stops the server when its input ends, and deletes the folder that is its argument.
const SCRIPT: &str = include_str!("watchdog.sh");

/// The longest time for the script to end after the server.
const END_TIMEOUT: Duration = Duration::from_secs(5);

pub struct Watchdog {
    script: Child,
    input: Option<ChildStdin>,
}

impl Watchdog {
    /// The folder `disposable` is deleted at the end.
    pub fn start(disposable: Option<&Path>) -> io::Result<Watchdog> {
        let mut script = Command::new("sh")
            .args(["-c", SCRIPT, "watchdog"])
            .args(disposable)
            // The script cannot delete the folder it runs in.
            .current_dir("/")
            // Ctrl-C goes to the whole process group. The script must survive it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let input = script.stdin.take();
        Ok(Watchdog { script, input })
    }

    /// Names the server to stop.
    pub fn watch(&mut self, server: &Child) -> io::Result<()> {
        self.input.as_mut().map_or(Ok(()), |input| writeln!(input, "{}", server.id()))
    }

    pub fn stop_server(&mut self) {
        self.input = None;
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop_server();
        if !program::ends_within(&mut self.script, END_TIMEOUT) {
            program::kill(&mut self.script);
        }
    }
}
