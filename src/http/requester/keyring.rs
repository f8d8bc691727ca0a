//! The keys that are in use, and how they are kept fresh.
//!
//! One task reads them: at an interval, soon again after a failure, and at once when a token cannot be verified with what is
//! there, which is how a rotated key shows first. What cannot be read, or has no key in it, never replaces what is in use.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jsonwebtoken::Algorithm;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use super::keys::{Key, KeySet, LeftOut, NoKey, listed};
use super::reader::Reader;
use crate::config::{KeySource, SettingsError, WAIT_FOR_KEY};
use crate::telemetry::metrics;
use crate::telemetry::outage::Outage;

/// When a failed refresh is tried again, unless the interval is shorter.
const RETRY: Duration = Duration::from_secs(3);

/// Tokens that cannot be verified cause at most one refresh in this time, however many they are. Anybody can send them.
const PAUSE: Duration = Duration::from_secs(5);

pub struct Keyring {
    reader: Reader,
    interval: Duration,
    state: watch::Sender<State>,
    wanted: Notify,
    last_ask: Mutex<Option<Ask>>,
}

struct State {
    /// None until the issuer answered once.
    keys: Option<Arc<KeySet>>,
    /// How many refreshes have begun.
    begun: u64,
    /// How many have ended, well or not.
    ended: u64,
    /// Why the last refresh failed.
    failure: Option<String>,
    outage: Outage,
    /// The keys that were logged last as left out.
    left_out: Vec<LeftOut>,
}

/// A refresh that a call asked for.
#[derive(Clone, Copy)]
struct Ask {
    at: Instant,
    /// How many refreshes have ended when it has.
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
            wanted: Notify::new(),
            last_ask: Mutex::default(),
        })
    }

    /// Whether there are keys to verify tokens with; if not, why.
    pub fn check(&self) -> Result<(), String> {
        let state = self.state.borrow();
        match (&state.keys, &state.failure) {
            (Some(_), _) => Ok(()),
            (None, Some(reason)) => Err(format!("the keys of the issuer could not be fetched: {reason}")),
            (None, None) => Err("the keys of the issuer are not fetched yet".to_owned()),
        }
    }

    /// The keys, of those that are in use now, that may have signed a token that names this key and
    /// algorithm.
    pub fn candidates(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Vec<Arc<Key>>, NoKey> {
        let state = self.state.borrow();
        state.keys.as_ref().ok_or(NoKey::NoneYet)?.candidates(id, algorithm)
    }

    /// Waits a moment for a refresh. False, and at once, while the last one that was asked for is too recent.
    pub async fn wait_for_refresh(&self) -> bool {
        let mut updates = self.state.subscribe();
        let Some(ask) = self.ask_for_refresh() else { return false };
        // Whether it ends in time does not matter: what is there then is looked at.
        let _ = timeout(WAIT_FOR_KEY, updates.wait_for(|state| state.ended >= ask.ended)).await;
        true
    }

    /// The refresh that a call may wait for: one that was asked for and has not ended, or else a new one. None while the
    /// last one is too recent.
    fn ask_for_refresh(&self) -> Option<Ask> {
        let mut last_ask = self.last_ask.lock().expect("nothing panics while it holds this lock");
        let (begun, ended) = {
            let state = self.state.borrow();
            (state.begun, state.ended)
        };
        match *last_ask {
            Some(ask) if ask.at.elapsed() < PAUSE => (ended < ask.ended).then_some(ask),
            _ => {
                // One that has begun may have read what was there before.
                let ask = Ask { at: Instant::now(), ended: begun + 1 };
                *last_ask = Some(ask);
                self.wanted.notify_one();
                Some(ask)
            }
        }
    }

    /// Refreshes for ever.
    pub async fn keep_fresh(&self) {
        loop {
            let pause = if self.refresh().await { self.interval } else { self.interval.min(RETRY) };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.wanted.notified() => {}
            }
        }
    }

    /// Whether it went well.
    async fn refresh(&self) -> bool {
        self.state.send_modify(|state| state.begun += 1);
        let read = self.reader.read().await;
        let went_well = read.is_ok();
        metrics::jwks_refreshed(went_well);
        self.state.send_modify(|state| {
            state.ended += 1;
            match read {
                Ok(keys) => state.replace(keys),
                Err(reason) => state.keep(reason),
            }
        });
        went_well
    }
}

impl State {
    fn replace(&mut self, keys: KeySet) {
        let before = self.keys.as_deref().map(KeySet::ids);
        let is_over = self.outage.note(true, Instant::now().into_std());
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
        if self.outage.note(false, Instant::now().into_std()) {
            let keys = self.keys.as_ref().map_or(0, |keys| keys.len());
            tracing::warn!(reason, keys, "the keys of tokens could not be refreshed, and stay as they are");
        }
        self.failure = Some(reason);
    }
}
