//! The routes of the admin address.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use hyper::{HeaderMap, Method, Request, Response, StatusCode, body::Incoming};
use prometheus::{Encoder, TextEncoder};
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};

use crate::web::{
    response::{self, EventSender, ResponseBody},
    server::ConnectionInfo,
};

use super::{
    decision::DecisionRecord,
    history::History,
    hosts::AllowedHosts,
    inputs::{DecisionsSince, Inputs},
    live, open_metrics,
    settings::Settings,
    status::StatusReport,
};

/// How often a stream looks for new decisions.
const POLL_INTERVAL: Duration = Duration::from_millis(300);
/// How long collecting the decisions may take.
const COLLECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Streams live long. This bound leaves most connections to probes and scrapes.
const MAX_STREAMS: usize = 32;

/// Responds to requests.
pub(super) struct Routes {
    hosts: AllowedHosts,
    /// Pages that belong to the live page.
    links: Vec<(String, String)>,
    inputs: Inputs,
    history: Mutex<History>,
    streams: Arc<Semaphore>,
    /// Part of each event id. It tells this process's ids from those of an earlier one, whose numbers mean
    /// nothing here.
    run: u64,
}

impl Routes {
    pub(super) fn new(settings: &Settings, inputs: Inputs) -> Self {
        Routes {
            hosts: AllowedHosts::new(&settings.hosts),
            links: settings.links.clone(),
            inputs,
            history: Mutex::new(History::new()),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            run: RandomState::new().build_hasher().finish(),
        }
    }

    pub(super) async fn respond(
        &self,
        request: &Request<Incoming>,
        connection: ConnectionInfo,
    ) -> Response<ResponseBody> {
        if !self.hosts.allow(request.uri(), request.headers()) {
            return response::text(
                StatusCode::MISDIRECTED_REQUEST,
                "this is gatecount's admin address: ask for it by IP address or as localhost, \
                 or add the name to hosts in [admin]",
            );
        }
        let path = request.uri().path();
        let exists = matches!(
            path,
            "/" | "/explain" | "/metrics" | "/livez" | "/readyz" | "/status" | "/decisions"
        );
        if exists && !matches!(*request.method(), Method::GET | Method::HEAD) {
            return response::method_not_allowed("GET, HEAD");
        }
        match path {
            "/" => self.live(request.uri().query().unwrap_or_default()).await,
            "/explain" => self.explain(request.uri().query().unwrap_or_default()),
            "/metrics" => self.metrics(request.headers()),
            "/livez" => response::text(StatusCode::OK, "alive"),
            "/readyz" => self.ready(),
            "/status" => response::json(StatusCode::OK, &(self.inputs.status)()),
            "/decisions" if response::wants_event_stream(request.headers()) => {
                self.stream(request, connection)
            }
            "/decisions" => match self.decisions().await {
                Some(decisions) => response::json(StatusCode::OK, &decisions),
                None => response::text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the decisions could not be collected in time",
                ),
            },
            _ => response::not_found(),
        }
    }

    async fn live(&self, query: &str) -> Response<ResponseBody> {
        let decisions = self.decisions().await.unwrap_or_default();
        let status = self.sample();
        live::page(&live::Shown {
            status: &status,
            history: &self.history.lock().unwrap_or_else(PoisonError::into_inner),
            decisions: &decisions,
            query,
            links: &self.links,
        })
    }

    /// Takes a sample for the chart; the status that it was taken of.
    pub(super) fn sample(&self) -> StatusReport {
        let status = (self.inputs.status)();
        // No update is left half done by a panic.
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.sample(SystemTime::now(), &status.decisions);
        status
    }

    /// Tells what becomes of a pasted request. It is a `GET`, changes nothing, and no other origin can read
    /// it.
    fn explain(&self, query: &str) -> Response<ResponseBody> {
        let (request, peer) = live::pasted_of(query);
        let answer = (!request.trim().is_empty()).then(|| (self.inputs.explain)(&request, &peer));
        live::explained(&request, &peer, answer.as_ref())
    }

    fn metrics(&self, headers: &HeaderMap) -> Response<ResponseBody> {
        let families = self.inputs.registry.gather();
        if open_metrics::is_preferred(headers) {
            let text = open_metrics::encode(&families);
            return response::whole(StatusCode::OK, open_metrics::OPEN_METRICS, text);
        }
        let mut text = Vec::new();
        match TextEncoder::new().encode(&families, &mut text) {
            Ok(()) => response::whole(StatusCode::OK, prometheus::TEXT_FORMAT, text),
            Err(error) => {
                tracing::error!(%error, "the metrics could not be written");
                response::text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the metrics could not be written",
                )
            }
        }
    }

    fn ready(&self) -> Response<ResponseBody> {
        let ready = *self.inputs.ready.borrow();
        self.inputs.probes.count(ready);
        if ready {
            response::text(StatusCode::OK, "ready")
        } else {
            response::text(StatusCode::SERVICE_UNAVAILABLE, "not ready")
        }
    }

    /// All decisions that are kept, oldest first. `None` if collecting them took too long.
    async fn decisions(&self) -> Option<Vec<DecisionRecord>> {
        timeout(COLLECT_TIMEOUT, (self.inputs.decisions)(0)).await.ok()
    }

    /// Streams the decisions that are kept, or those after `Last-Event-ID`, and then each new one.
    fn stream(&self, request: &Request<Incoming>, mut connection: ConnectionInfo) -> Response<ResponseBody> {
        let Ok(permit) = Arc::clone(&self.streams).try_acquire_owned() else {
            return response::text(StatusCode::SERVICE_UNAVAILABLE, "too many streams");
        };
        let (events, response) = response::event_stream();
        if request.method() == Method::GET {
            let since = self.last_event(request).unwrap_or(0);
            let decisions = Arc::clone(&self.inputs.decisions);
            let run = self.run;
            tokio::spawn(async move {
                let _permit = permit;
                tokio::select! {
                    () = connection.closing() => {}
                    () = follow(&decisions, &events, run, since) => {}
                }
            });
        }
        response
    }

    /// The sequence number of `Last-Event-ID`, if it is an id of this process.
    fn last_event(&self, request: &Request<Incoming>) -> Option<u64> {
        let id = request.headers().get("last-event-id")?.to_str().ok()?;
        let (run, seq) = id.split_once('-')?;
        (u64::from_str_radix(run, 16).ok()? == self.run)
            .then(|| seq.parse().ok())
            .flatten()
    }
}

/// Sends decisions until the reader is gone.
async fn follow(decisions: &DecisionsSince, events: &EventSender, run: u64, mut since: u64) {
    loop {
        let next = async {
            loop {
                let found = decisions(since).await;
                if !found.is_empty() {
                    return found;
                }
                sleep(POLL_INTERVAL).await;
            }
        };
        let Some(found) = events.while_waiting(next).await else {
            return;
        };
        for decision in found {
            since = since.max(decision.seq);
            // Strings and numbers alone: they can always be written as JSON.
            let Ok(data) = serde_json::to_string(&decision) else {
                continue;
            };
            if !events.send(&format!("{run:x}-{}", decision.seq), &data).await {
                return;
            }
        }
        sleep(POLL_INTERVAL).await;
    }
}
