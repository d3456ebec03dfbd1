//! What each path of the admin address answers.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use prometheus::{Encoder, TextEncoder};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::answer::{self, Body, Events};
use super::server::Connection;
use super::{Sources, live};

/// How often a stream of decisions looks for new ones.
const LOOK: Duration = Duration::from_millis(300);
/// How long the decisions may take to be gathered.
const GATHER: Duration = Duration::from_secs(2);
/// Streams are long-lived: probes and scrapes keep the rest of the connections.
const MAX_STREAMS: usize = 32;

/// The answers and what they need.
pub(super) struct Routes {
    sources: Sources,
    streams: Arc<Semaphore>,
    /// Sets this process's event ids apart from an earlier one's, whose numbers mean nothing here.
    run: u64,
}

impl Routes {
    pub(super) fn new(sources: Sources) -> Routes {
        Routes {
            sources,
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            run: RandomState::new().build_hasher().finish(),
        }
    }

    /// Answers one request.
    pub(super) async fn answer(&self, request: &Request<Incoming>, connection: Connection) -> Response<Body> {
        let known = matches!(
            request.uri().path(),
            "/" | "/metrics" | "/livez" | "/readyz" | "/status" | "/decisions"
        );
        if known && !matches!(*request.method(), Method::GET | Method::HEAD) {
            return answer::not_allowed("GET, HEAD");
        }
        match request.uri().path() {
            "/" => self.live().await,
            "/metrics" => self.metrics(),
            "/livez" => answer::text(StatusCode::OK, "alive"),
            "/readyz" => self.ready(),
            "/status" => answer::json(StatusCode::OK, &(self.sources.status)()),
            "/decisions" if answer::wants_events(request.headers()) => self.stream(request, connection),
            "/decisions" => match self.decisions().await {
                Some(decisions) => answer::json(StatusCode::OK, &Value::Array(decisions)),
                None => answer::text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the decisions could not be gathered in time",
                ),
            },
            _ => answer::not_found(),
        }
    }

    async fn live(&self) -> Response<Body> {
        let status = (self.sources.status)();
        let decisions = self.decisions().await.unwrap_or_default();
        live::page(&status, &decisions)
    }

    fn metrics(&self) -> Response<Body> {
        let mut text = Vec::new();
        match TextEncoder::new().encode(&self.sources.registry.gather(), &mut text) {
            Ok(()) => answer::whole(StatusCode::OK, prometheus::TEXT_FORMAT, text),
            Err(error) => {
                tracing::error!(%error, "the metrics could not be written");
                answer::text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the metrics could not be written",
                )
            }
        }
    }

    fn ready(&self) -> Response<Body> {
        let ready = *self.sources.ready.borrow();
        self.sources.probes.note(ready);
        if ready {
            answer::text(StatusCode::OK, "ready")
        } else {
            answer::text(StatusCode::SERVICE_UNAVAILABLE, "not ready")
        }
    }

    /// All decisions that are held, oldest first; none where gathering them took too long.
    async fn decisions(&self) -> Option<Vec<Value>> {
        timeout(GATHER, (self.sources.decisions)(0)).await.ok()
    }

    /// Follows the decisions: first those that are held, or those after `Last-Event-ID`, then each as it is made.
    fn stream(&self, request: &Request<Incoming>, mut connection: Connection) -> Response<Body> {
        let Ok(place) = Arc::clone(&self.streams).try_acquire_owned() else {
            return answer::text(StatusCode::SERVICE_UNAVAILABLE, "too many streams");
        };
        let (events, response) = answer::events();
        if request.method() == Method::GET {
            let since = self.resume(request).unwrap_or(0);
            let decisions = Arc::clone(&self.sources.decisions);
            let run = self.run;
            tokio::spawn(async move {
                let _place = place;
                tokio::select! {
                    () = connection.closing() => {}
                    () = follow(&decisions, &events, run, since) => {}
                }
            });
        }
        response
    }

    /// The number after which a reader that lost its stream goes on.
    fn resume(&self, request: &Request<Incoming>) -> Option<u64> {
        let id = request.headers().get("last-event-id")?.to_str().ok()?;
        let (run, seq) = id.split_once('-')?;
        (u64::from_str_radix(run, 16).ok()? == self.run)
            .then(|| seq.parse().ok())
            .flatten()
    }
}

/// Sends decisions until the reader is gone.
async fn follow(decisions: &super::Decisions, events: &Events, run: u64, mut since: u64) {
    loop {
        let next = async {
            loop {
                let found = decisions(since).await;
                if !found.is_empty() {
                    return found;
                }
                sleep(LOOK).await;
            }
        };
        let Some(found) = events.while_waiting(next).await else {
            return;
        };
        for decision in found {
            let seq = decision.get("seq").and_then(Value::as_u64).unwrap_or(since);
            if !events
                .send(&format!("{run:x}-{seq}"), &decision.to_string())
                .await
            {
                return;
            }
            since = since.max(seq);
        }
        sleep(LOOK).await;
    }
}
