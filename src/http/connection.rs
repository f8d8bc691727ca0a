//! Connections on which nothing is asked. The library closes one that is quiet, but waits for ever for the rest of a second
//! head, and for a client to take its answer; a watch closes those.

use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use actix_web::dev::Extensions;
use actix_web::rt;

/// How often connections are looked at.
pub const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// The connections of a service. Cheap to clone.
#[derive(Clone, Default)]
pub struct Connections(Arc<Mutex<Vec<Weak<Connection>>>>);

/// One connection, for as long as it is open.
pub struct Connection {
    stream: TcpStream,
    /// Since when no call of it is worked on; none while one is.
    idle_since: Mutex<Option<Instant>>,
}

/// A call is worked on for as long as this lives.
pub struct AtWork(Arc<Connection>);

impl Connections {
    /// To be done with every new connection.
    pub fn connected(&self, stream: &rt::net::TcpStream, data: &mut Extensions) {
        // This connection is not watched if no descriptor is left. The limit of connections prevents that.
        let Ok(copy) = stream.as_fd().try_clone_to_owned() else { return };
        let connection =
            Arc::new(Connection { stream: TcpStream::from(copy), idle_since: Mutex::new(Some(Instant::now())) });
        self.open().push(Arc::downgrade(&connection));
        data.insert(connection);
    }

    /// Closes those that have had no call at work for so long.
    pub fn close_idle(&self, longest: Duration) {
        self.open().retain(|connection| {
            let Some(connection) = connection.upgrade() else { return false };
            if connection.is_idle_for(longest) {
                // It is closed already, or is now.
                let _ = connection.stream.shutdown(Shutdown::Both);
            }
            true
        });
    }

    fn open(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Connection>>> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

impl Connection {
    /// Begins a call.
    pub fn begin(self: &Arc<Connection>) -> AtWork {
        self.set_idle_since(None);
        AtWork(Arc::clone(self))
    }

    fn is_idle_for(&self, longest: Duration) -> bool {
        let idle_since = self.idle_since.lock().expect("nothing panics while it holds this lock");
        idle_since.is_some_and(|since| since.elapsed() > longest)
    }

    fn set_idle_since(&self, since: Option<Instant>) {
        *self.idle_since.lock().expect("nothing panics while it holds this lock") = since;
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.set_idle_since(Some(Instant::now()));
    }
}
