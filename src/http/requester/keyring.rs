//! The keys in use, and their refresh.
//!
//! One task refreshes them: at an interval, sooner after a failure, and at once if a token cannot
//! be verified, because the issuer may have rotated its keys. A failed refresh leaves the keys as
//! they are.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use super::keys::{Key, KeySet, LeftOut, Unverified, listed};
use super::reader::Reader;
use crate::config::{KeySource, SettingsError, WAIT_FOR_KEY};
use crate::telemetry::metrics;
use crate::telemetry::outage::Outage;

/// The wait after a failed refresh, unless the interval is shorter.
const RETRY: Duration = Duration::from_secs(3);

/// Unverifiable tokens cause at most one refresh in this time. Anybody can send them.
const PAUSE: Duration = Duration::from_secs(5);

pub struct Keyring {
    reader: Reader,
    interval: Duration,
    state: watch::Sender<State>,
    requested: Notify,
    last_request: Mutex<Option<RequestedRefresh>>,
}

struct State {
    /// `None` until the issuer has answered once.
    keys: Option<Arc<KeySet>>,
    /// The number of refreshes that have begun.
    begun: u64,
    /// The number of refreshes that have ended, failed ones included.
    ended: u64,
    /// Why the last refresh failed.
    failure: Option<String>,
    outage: Outage,
    /// The unusable keys that were logged last.
    left_out: Vec<LeftOut>,
}

#[derive(Clone, Copy)]
struct RequestedRefresh {
    at: Instant,
    /// The value of [`State::ended`] when it has ended.
    ended: u64,
}

impl Keyring {
    pub fn open(source: &KeySource, interval: Duration) -> Result<Keyring, SettingsError> {
        let (reader, keys) = Reader::open(source)?;
        let state = State {
            keys: keys.map(Arc::new),
            begun: 0,
            ended: 0,
            failure: None,
            outage: Outage::default(),
            left_out: Vec::new(),
        };
        Ok(Keyring {
            reader,
            interval,
            state: watch::Sender::new(state),
            requested: Notify::new(),
            last_request: Mutex::default(),
        })
    }

    /// Fails with the reason while there are no keys.
    pub fn check(&self) -> Result<(), String> {
        let state = self.state.borrow();
        match (&state.keys, &state.failure) {
            (Some(_), _) => Ok(()),
            (None, Some(reason)) => Err(format!("the keys of the issuer could not be fetched: {reason}")),
            (None, None) => Err("the keys of the issuer have not been fetched yet".to_owned()),
        }
    }

    /// The keys that may have signed a token, like [`KeySet::candidates`].
    pub fn candidates(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Vec<Arc<Key>>, Unverified> {
        let state = self.state.borrow();
        state.keys.as_ref().ok_or(Unverified::NotFetched)?.candidates(id, algorithm)
    }

    /// Waits for a requested refresh, for a limited time. Returns false at once if the last one was
    /// requested less than [`PAUSE`] ago and has ended.
    pub async fn wait_for_refresh(&self) -> bool {
        let mut updates = self.state.subscribe();
        let Some(refresh) = self.request_refresh() else { return false };
        // After a timeout the caller tries the keys that are there.
        let _ = timeout(WAIT_FOR_KEY, updates.wait_for(|state| state.ended >= refresh.ended)).await;
        true
    }

    /// Returns a requested refresh that has not ended, or a new one. Returns `None` if the last one
    /// was requested less than [`PAUSE`] ago and has ended.
    fn request_refresh(&self) -> Option<RequestedRefresh> {
        let mut last = self.last_request.lock();
        let (begun, ended) = {
            let state = self.state.borrow();
            (state.begun, state.ended)
        };
        match *last {
            Some(refresh) if refresh.at.elapsed() < PAUSE => (ended < refresh.ended).then_some(refresh),
            _ => {
                // A refresh that runs may have read the old keys, so wait for the next one.
                let refresh = RequestedRefresh { at: Instant::now(), ended: begun + 1 };
                *last = Some(refresh);
                self.requested.notify_one();
                Some(refresh)
            }
        }
    }

    /// Runs until its task is aborted.
    pub async fn keep_fresh(&self) {
        loop {
            let pause = if self.refresh().await { self.interval } else { self.interval.min(RETRY) };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.requested.notified() => {}
            }
        }
    }

    /// Returns whether it succeeded.
    async fn refresh(&self) -> bool {
        self.state.send_modify(|state| state.begun += 1);
        let read = self.reader.read().await;
        let succeeded = read.is_ok();
        metrics::jwks_refreshed(succeeded);
        self.state.send_modify(|state| {
            state.ended += 1;
            match read {
                Ok(keys) => state.replace(keys),
                Err(reason) => state.keep(reason),
            }
        });
        succeeded
    }
}

impl State {
    fn replace(&mut self, keys: KeySet) {
        let before = self.keys.as_deref().map(KeySet::ids);
        let is_over = self.outage.note(true);
        if before.as_ref() != Some(&keys.ids()) || is_over {
            tracing::info!(keys = keys.len(), key_ids = keys.ids().join(" "), "the keys of tokens were read");
        }
        if self.left_out != keys.left_out() {
            self.left_out = keys.left_out().to_vec();
            tracing::info!(left_out = listed(&self.left_out), "keys of the set are left out");
        }
        self.failure = None;
        self.keys = Some(Arc::new(keys));
    }

    fn keep(&mut self, reason: String) {
        if self.outage.note(false) {
            let keys = self.keys.as_ref().map_or(0, |keys| keys.len());
            tracing::warn!(reason, keys, "the keys of tokens could not be refreshed, and stay as they are");
        }
        self.failure = Some(reason);
    }
}
