//! Stops a server when this process ends, however it ends.
//!
//! A SIGKILL leaves no time for anything. But it closes the pipe that a small shell script reads from.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use super::program;

/// Asks the server to stop when the input ends, and at last kills it. A folder that is named is deleted then.
const SCRIPT: &str = include_str!("watchdog.sh");

/// How long the script may take once the server is gone.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// A script that waits for the end of this process, or of this value.
pub struct Watchdog {
    script: Child,
    input: Option<ChildStdin>,
}

impl Watchdog {
    /// Starts the script. It deletes the folder `disposable` in the end.
    pub fn start(disposable: Option<&Path>) -> io::Result<Watchdog> {
        let mut script = Command::new("sh")
            .args(["-c", SCRIPT, "watchdog"])
            .args(disposable)
            // A folder that the script deletes cannot be the one it runs in.
            .current_dir("/")
            // Ctrl-C in a terminal goes to the whole group of this process. The script has to outlive that.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let input = script.stdin.take();
        Ok(Watchdog { script, input })
    }

    /// Tells which server to stop.
    pub fn watch(&mut self, server: &Child) -> io::Result<()> {
        self.input.as_mut().map_or(Ok(()), |input| writeln!(input, "{}", server.id()))
    }

    /// Asks the server to stop, as the end of this process would.
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
