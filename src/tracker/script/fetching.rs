//! The thread that fetches the script, once at a time, when it is asked to.

use std::{
    io,
    sync::Arc,
    thread::Builder,
    time::{Duration, Instant},
};

use http::{HeaderMap, StatusCode, header};
use tokio::{
    runtime::{self, LocalOptions},
    sync::{Notify, watch},
};

use super::{
    copy::{NoScript, ScriptCopy},
    freshness::freshness,
    state::{Fetch, ScriptState},
};
use crate::{
    delivery::{FetchError, Fetched, Fetcher},
    telemetry::chain,
    tracker::metrics::{FetchResult, TrackerMetrics},
};

/// After a fetch that failed, the next one waits: at first, doubling, and at the most.
const REST: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// Why there is no new script.
#[derive(Debug, thiserror::Error)]
enum FetchFailure {
    #[error(transparent)]
    NoAnswer(#[from] FetchError),
    #[error("what came can't be served")]
    NoScript(#[from] NoScript),
}

/// What the thread works with.
pub(super) struct Fetching {
    pub(super) fetcher: Fetcher,
    /// Where the script comes from, for the log.
    pub(super) source: String,
    pub(super) state: watch::Sender<ScriptState>,
    pub(super) wanted: Arc<Notify>,
    pub(super) metrics: TrackerMetrics,
}

impl Fetching {
    /// Starts the thread. It ends when nobody can ask any more.
    ///
    /// # Errors
    /// The system's, where it refuses a thread.
    pub(super) fn start(self) -> io::Result<()> {
        Builder::new()
            .name("gatecount-script".to_owned())
            .spawn(move || {
                let runtime = runtime::Builder::new_current_thread()
                    .enable_all()
                    .build_local(LocalOptions::default());
                match runtime {
                    Ok(runtime) => runtime.block_on(self.run()),
                    Err(error) => tracing::error!(%error, "the tracker script can't be fetched"),
                }
            })?;
        Ok(())
    }

    async fn run(self) {
        let mut failures = 0;
        let mut validators = HeaderMap::new();
        loop {
            tokio::select! {
                () = self.wanted.notified() => {}
                () = self.state.closed() => return,
            }
            if !self.state.borrow().is_due(Instant::now()) {
                continue;
            }
            self.state
                .send_modify(|state| state.fetch = Fetch::Running(Instant::now()));
            let outcome = self.fetcher.fetch(&validators).await;
            let outcome = outcome
                .map_err(FetchFailure::from)
                .and_then(|fetched| self.take(&fetched, &mut validators));
            self.end(outcome, &mut failures);
        }
    }

    /// What was fetched, and until when it is fresh.
    fn take(
        &self,
        fetched: &Fetched,
        validators: &mut HeaderMap,
    ) -> Result<(Arc<ScriptCopy>, Instant), FetchFailure> {
        let until = Instant::now() + freshness(&fetched.fields);
        let known = self.state.borrow().copy.clone();
        if let (StatusCode::NOT_MODIFIED, Some(known)) = (fetched.status, known) {
            self.metrics.fetch(FetchResult::Unchanged);
            return Ok((Arc::new(known.refreshed(&fetched.fields)), until));
        }
        let copy = ScriptCopy::of(fetched)?;
        self.metrics.fetch(FetchResult::Changed);
        validators.clear();
        for (from, to) in [
            (header::ETAG, header::IF_NONE_MATCH),
            (header::LAST_MODIFIED, header::IF_MODIFIED_SINCE),
        ] {
            if let Some(value) = fetched.fields.get(from) {
                validators.insert(to, value.clone());
            }
        }
        Ok((Arc::new(copy), until))
    }

    fn end(&self, outcome: Result<(Arc<ScriptCopy>, Instant), FetchFailure>, failures: &mut u32) {
        let source = &self.source;
        match outcome {
            Ok((copy, until)) => {
                if std::mem::take(failures) > 0 {
                    tracing::info!(source, "the tracker script can be fetched again");
                }
                self.state.send_modify(|state| {
                    *state = ScriptState {
                        copy: Some(copy),
                        fresh_until: until,
                        fetch: Fetch::None,
                    };
                });
            }
            Err(error) => {
                self.metrics.fetch(FetchResult::Failed);
                *failures += 1;
                let rest = (REST.0 * 2_u32.saturating_pow(*failures - 1)).min(REST.1);
                if *failures == 1 {
                    let error = chain(&error);
                    let stale = self.state.borrow().copy.is_some();
                    tracing::warn!(
                        source,
                        error,
                        "the tracker script can't be fetched; {}",
                        if stale {
                            "the old one is served"
                        } else {
                            "none is served"
                        }
                    );
                }
                let timed_out = matches!(error, FetchFailure::NoAnswer(FetchError::TimedOut(_)));
                self.state.send_modify(|state| {
                    state.fetch = Fetch::Failed {
                        again: Instant::now() + rest,
                        timed_out,
                    };
                });
            }
        }
    }
}
