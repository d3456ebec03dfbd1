//! The data path's metrics. Handles are looked up once, so counting is one addition.

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use super::errors::Reason;
use crate::{client, event::custom::DeclarationFault, page::Decision};

/// How a TLS handshake ended: the closed list of `gatecount_tls_handshakes_total{result}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handshake {
    /// With a session of its own.
    Full,
    /// With an earlier session.
    Resumed,
    /// The client closed.
    Closed,
    /// One of the two did not accept the other.
    Failed,
    /// `client_ca` is set, and the client showed no certificate.
    NoCertificate,
    /// The client spoke plain HTTP.
    PlainHttp,
    TimedOut,
}

impl Handshake {
    const ALL: [Handshake; 7] = [
        Handshake::Full,
        Handshake::Resumed,
        Handshake::Closed,
        Handshake::Failed,
        Handshake::NoCertificate,
        Handshake::PlainHttp,
        Handshake::TimedOut,
    ];

    fn label(self) -> &'static str {
        match self {
            Handshake::Full => "full",
            Handshake::Resumed => "resumed",
            Handshake::Closed => "closed",
            Handshake::Failed => "failed",
            Handshake::NoCertificate => "no_certificate",
            Handshake::PlainHttp => "plain_http",
            Handshake::TimedOut => "timed_out",
        }
    }
}

/// The data path's metrics, shared by the workers.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    requests: [IntCounter; 5],
    pub(super) duration: Histogram,
    app_errors: [IntCounter; Reason::ALL.len()],
    pub(super) connections: IntGauge,
    pub(super) worker_connections: IntGaugeVec,
    decisions: [IntCounter; Decision::ALL.len()],
    client_from: [IntCounter; client::ClientFrom::ALL.len()],
    declaration_faults: [IntCounter; DeclarationFault::ALL.len()],
    pub(super) forged: IntCounter,
    pub(super) malformed_addresses: IntCounter,
    pub(super) accept_errors: IntCounter,
    pub(super) faults: IntCounter,
    handshakes: [IntCounter; Handshake::ALL.len()],
    pub(super) http2_streams: IntGauge,
    pub(super) http2_waiting_bytes: IntGauge,
    pub(super) http2_interim_dropped: IntCounter,
    pub(super) http2_errors: IntCounter,
}

impl Metrics {
    /// Makes them and registers them. `decisions` has a counter for each decision, by its label.
    ///
    /// # Errors
    /// Where a name is taken in the registry.
    pub(super) fn register(registry: &Registry, decisions: &IntCounterVec) -> prometheus::Result<Self> {
        let counters = |name: &str, help: &str, label: &str| -> prometheus::Result<IntCounterVec> {
            let vec = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(vec.clone()))?;
            Ok(vec)
        };
        let counter = |name: &str, help: &str| -> prometheus::Result<IntCounter> {
            let one = IntCounter::new(name, help)?;
            registry.register(Box::new(one.clone()))?;
            Ok(one)
        };
        let gauge = |name: &str, help: &str| -> prometheus::Result<IntGauge> {
            let one = IntGauge::new(name, help)?;
            registry.register(Box::new(one.clone()))?;
            Ok(one)
        };
        let requests = counters(
            "gatecount_requests_total",
            "Responses sent to clients, by class of status.",
            "code",
        )?;
        let app_errors = counters(
            "gatecount_app_errors_total",
            "Requests that the app failed, by reason.",
            "reason",
        )?;
        let client_from = counters(
            "gatecount_client_address_total",
            "Requests, by where the client's address was taken from.",
            "from",
        )?;
        let handshakes = counters(
            "gatecount_tls_handshakes_total",
            "TLS handshakes with clients, by how they ended.",
            "result",
        )?;
        let declaration_faults = counters(
            "gatecount_custom_event_faults_total",
            "Events of [[events]] and of the app's headers that could not be sent as they are, by what became of \
             them.",
            "fault",
        )?;
        let duration = Histogram::with_opts(
            HistogramOpts::new(
                "gatecount_request_duration_seconds",
                "From a request's head to the last byte of its response.",
            )
            .buckets(vec![
                0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
                60.0,
            ]),
        )?;
        registry.register(Box::new(duration.clone()))?;
        let connections = gauge("gatecount_connections", "Client connections that are open.")?;
        let worker_connections = IntGaugeVec::new(
            Opts::new(
                "gatecount_worker_connections",
                "Client connections that are open, by worker thread.",
            ),
            &["worker"],
        )?;
        registry.register(Box::new(worker_connections.clone()))?;
        Ok(Metrics {
            requests: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(|class| requests.with_label_values(&[class])),
            duration,
            app_errors: Reason::ALL.map(|r| app_errors.with_label_values(&[r.label()])),
            connections,
            worker_connections,
            decisions: Decision::ALL.map(|d| decisions.with_label_values(&[d.label()])),
            client_from: client::ClientFrom::ALL.map(|f| client_from.with_label_values(&[f.label()])),
            declaration_faults: DeclarationFault::ALL
                .map(|f| declaration_faults.with_label_values(&[f.label()])),
            forged: counter(
                "gatecount_forged_headers_total",
                "Requests from untrusted peers with forwarding headers, which were not read.",
            )?,
            malformed_addresses: counter(
                "gatecount_malformed_addresses_total",
                "Requests from trusted peers whose forwarding header has an entry that is no address.",
            )?,
            accept_errors: counter(
                "gatecount_accept_errors_total",
                "Connections that could not be accepted, as when descriptors run out.",
            )?,
            handshakes: Handshake::ALL.map(|h| handshakes.with_label_values(&[h.label()])),
            http2_streams: gauge(
                "gatecount_http2_streams",
                "Requests over HTTP/2 that are under way.",
            )?,
            http2_waiting_bytes: gauge(
                "gatecount_http2_waiting_bytes",
                "Bytes of responses over HTTP/2 that clients have not taken yet.",
            )?,
            http2_interim_dropped: counter(
                "gatecount_http2_interim_dropped_total",
                "Interim responses (1xx) of the app that could not be passed on over HTTP/2.",
            )?,
            http2_errors: counter(
                "gatecount_http2_errors_total",
                "HTTP/2 connections that ended with an error, as after a flood or a malformed frame.",
            )?,
            faults: counter(
                "gatecount_faults_total",
                "Requests whose statistics failed by a fault of gatecount's own; the requests went on.",
            )?,
        })
    }

    pub(super) fn response(&self, status: u16) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.requests[class].inc();
    }

    pub(super) fn app_error(&self, reason: Reason) {
        self.app_errors[reason as usize].inc();
    }

    /// Requests that the app failed.
    pub(super) fn app_errors(&self) -> u64 {
        self.app_errors.iter().map(IntCounter::get).sum()
    }

    pub(super) fn handshake(&self, handshake: Handshake) {
        self.handshakes[handshake as usize].inc();
    }

    pub(super) fn decision(&self, decision: Decision) {
        self.decisions[decision as usize].inc();
    }

    pub(super) fn declaration_fault(&self, fault: DeclarationFault) {
        self.declaration_faults[fault as usize].inc();
    }

    pub(super) fn client_from(&self, from: client::ClientFrom) {
        self.client_from[from as usize].inc();
    }
}
