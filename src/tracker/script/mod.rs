//! The tracker script: fetched when somebody wants it, kept in memory, served from there.
//!
//! One thread fetches, one fetch at a time, however many ask. A script that is fresh by its own header fields
//! is served at once. When it is no longer fresh, those who ask wait a moment for its revalidation; if
//! Plausible is slow or down, they get the old one. Only before the first script has come is there nothing to
//! serve. Nothing that is no script is ever kept.

mod copy;
mod fetching;
mod freshness;
mod state;

use std::{io, sync::Arc, time::Instant};

use httparse::Header;
use tokio::{
    sync::{Notify, watch},
    time::timeout_at,
};

use self::{
    fetching::Fetching,
    state::{Look, Missing, ScriptState},
};
use super::{
    answer::{Answering, DedicatedAnswer},
    metrics::TrackerMetrics,
};
use crate::delivery::Fetcher;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Script {
    state: watch::Receiver<ScriptState>,
    wanted: Arc<Notify>,
}

impl Script {
    /// Starts the thread that fetches it. `source` is the script's URL, for the log.
    ///
    /// # Errors
    /// The system's, where it refuses a thread.
    pub(super) fn start(fetcher: Fetcher, source: String, metrics: TrackerMetrics) -> io::Result<Self> {
        let (sender, state) = watch::channel(ScriptState::new(Instant::now()));
        let wanted = Arc::new(Notify::new());
        Fetching {
            fetcher,
            source,
            state: sender,
            wanted: Arc::clone(&wanted),
            metrics,
        }
        .start()?;
        Ok(Script { state, wanted })
    }

    /// Answers a request.
    pub(super) fn reply(&self, method: &str, fields: &[Header<'_>]) -> Answering {
        if !matches!(method, "GET" | "HEAD") {
            return Answering::Ready(DedicatedAnswer::wrong_method("GET, HEAD"));
        }
        let asked = Instant::now();
        let look = self.state.borrow().look(asked, asked);
        match look {
            Look::Copy(copy) => Answering::Ready(copy.answer(fields)),
            Look::Missing(missing) => Answering::Ready(missing.answer()),
            Look::Wait(_) => {
                let wants = OwnedFields::keep(fields);
                let script = self.clone();
                Answering::Later(Box::pin(async move { script.wait(asked, &wants).await }))
            }
        }
    }

    async fn wait(mut self, asked: Instant, fields: &OwnedFields) -> DedicatedAnswer {
        loop {
            let now = Instant::now();
            let look = self.state.borrow_and_update().look(asked, now);
            let until = match look {
                Look::Copy(copy) => return copy.answer(&fields.borrow()),
                Look::Missing(missing) => return missing.answer(),
                Look::Wait(until) => until,
            };
            self.wanted.notify_one();
            // Either way the state is looked at again. A sender that is gone changes nothing any more.
            if let Ok(Err(_)) = timeout_at(until.into(), self.state.changed()).await {
                return Missing::Failed.answer();
            }
        }
    }
}

impl Missing {
    fn answer(self) -> DedicatedAnswer {
        match self {
            Missing::Failed => DedicatedAnswer::words(
                502,
                "502 Bad Gateway: the script can't be fetched at the moment.\n",
            ),
            Missing::TooLate => {
                DedicatedAnswer::words(504, "504 Gateway Timeout: the script did not come in time.\n")
            }
        }
    }
}

/// The fields that decide which form of the script is sent.
#[derive(Debug)]
struct OwnedFields(Vec<(&'static str, Vec<u8>)>);

impl OwnedFields {
    fn keep(fields: &[Header<'_>]) -> Self {
        let names = ["accept-encoding", "if-none-match"];
        let kept = fields.iter().filter_map(|f| {
            let name = names.into_iter().find(|name| f.name.eq_ignore_ascii_case(name))?;
            Some((name, f.value.to_vec()))
        });
        OwnedFields(kept.collect())
    }

    fn borrow(&self) -> Vec<Header<'_>> {
        let fields = self.0.iter();
        fields.map(|(name, value)| Header { name, value }).collect()
    }
}
