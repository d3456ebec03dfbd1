//! What the admin address shows, put together from the parts.

use std::{
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
    time::{Instant, SystemTime},
};

use prometheus::IntCounterVec;

use super::decisions::{self, LateDecisions};
use crate::{
    admin,
    config::{Config, DecisionRules},
    delivery,
    delivery::Delivery,
    lifecycle::Readiness,
    observe::{self, Observe},
    proxy,
    proxy::Proxy,
    queue,
    stream::{Stream, StreamWatcher},
    telemetry::{Trouble, TroubleKind, Troubles},
};

/// Tells by these rules what becomes of a request that somebody pasted, from this peer: the code of
/// `gatecount explain`.
pub type ExplainPasted = fn(&DecisionRules, &str, &str) -> Result<admin::Explanation, String>;

/// The parts that a status is put together from.
pub(super) struct StatusParts<'a> {
    pub(super) started: Instant,
    pub(super) config: &'a Config,
    pub(super) readiness: &'a Readiness,
    pub(super) admin: SocketAddr,
    pub(super) proxy: Option<&'a Proxy>,
    pub(super) observe: Option<&'a Observe>,
    pub(super) delivery: &'a Delivery,
    pub(super) stream: Option<&'a Stream>,
    pub(super) decisions: IntCounterVec,
    pub(super) troubles: &'a Troubles,
    pub(super) reloadable: &'a Arc<RwLock<Reloadable>>,
}

/// What the admin address shows of the configuration and a reload can change.
#[derive(Debug)]
pub(super) struct Reloadable {
    rules: DecisionRules,
    sites: admin::SitesReport,
}

impl Reloadable {
    pub(super) fn of(config: &Config) -> Self {
        Reloadable {
            rules: config.rules(),
            sites: admin::SitesReport {
                count: config.site_count(),
                counted: config.sites_in_words(),
            },
        }
    }
}

/// Where clients connect if there is no app.
pub(super) const NONE: &str = "none";

/// The troubles that `delivery.warnings` names.
const WARNINGS: [TroubleKind; 4] = [
    TroubleKind::DomainDropped,
    TroubleKind::EventsRejected,
    TroubleKind::UntrustedProxy,
    TroubleKind::ScriptMissing,
];

/// What the admin address calls to take a status.
pub(super) fn take_status(parts: StatusParts<'_>) -> admin::TakeStatus {
    let (started, admin, decisions) = (parts.started, parts.admin, parts.decisions);
    let (troubles, reloadable) = (parts.troubles.clone(), Arc::clone(parts.reloadable));
    let storage = match parts.config.queue.at {
        queue::At::Disk(_) => admin::Storage::Disk,
        queue::At::Memory => admin::Storage::Memory,
    };
    let max_bytes = parts.config.queue.max_bytes;
    let plausible = parts.config.delivery.base.to_string();
    let listen = parts
        .proxy
        .map_or_else(|| NONE.to_owned(), |proxy| proxy.bound().to_string());
    let observe = parts.observe.map(|observe| admin::ObserveReport {
        mirror: observe.mirror().map(|address| address.to_string()),
        log: observe.log().map(ToString::to_string),
    });
    let role = match &parts.config.stream {
        Some(_) if parts.config.is_gateway => admin::StreamRole::Delivers,
        Some(stream) if stream.deliver => admin::StreamRole::PublishesAndDelivers,
        _ => admin::StreamRole::Publishes,
    };
    let stream = parts.stream.map(Stream::watcher);
    let (ready, delivery) = (parts.readiness.watch(), parts.delivery.watcher());
    let gateway = parts.delivery.gateway();
    let upstream = parts
        .config
        .proxy
        .as_ref()
        .map(|proxy| proxy.app.upstream.to_string());
    let app = upstream.zip(parts.proxy.map(Proxy::handle));
    Arc::new(move || {
        let delivery::Status { queue, delivery } = delivery.status();
        let troubles = troubles.list();
        admin::StatusReport {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: started.elapsed().as_secs_f64(),
            ready: *ready.borrow(),
            listen: listen.clone(),
            admin: admin.to_string(),
            app: app.as_ref().map(|(url, proxy)| admin::AppReport {
                url: url.clone(),
                state: app_condition(proxy.app_state()),
                errors: proxy.app_errors(),
            }),
            plausible: plausible.clone(),
            // No update is left half done by a panic.
            sites: reloadable
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .sites
                .clone(),
            observe: observe.clone(),
            stream: stream
                .as_ref()
                .map(|stream| stream_report(role, stream, gateway.as_ref())),
            queue: admin::QueueReport {
                at: storage,
                events: queue.events,
                bytes: queue.bytes,
                max_bytes,
                oldest_seconds: queue.oldest_seconds,
                alarm: queue.alarm,
            },
            delivery: admin::DeliveryReport {
                state: sending_state(delivery.state),
                since: delivery.since,
                last_error: delivery.last_error,
                last_error_seconds: delivery.last_error_seconds,
                last_error_over: delivery.last_error_over,
                hint: delivery.hint,
                warnings: warnings(&troubles),
                finished: delivery.finished,
                in_flight: delivery.in_flight,
            },
            decisions: admin::DecisionCounts(decisions::counts(&decisions)),
            troubles: troubles.into_iter().map(trouble_report).collect(),
        }
    })
}

/// What the admin address calls to explain a pasted request by the rules that hold then.
pub(super) fn explain_request(
    reloadable: &Arc<RwLock<Reloadable>>,
    explain: ExplainPasted,
) -> admin::ExplainRequest {
    let reloadable = Arc::clone(reloadable);
    Arc::new(move |request, peer| {
        // No update is left half done by a panic.
        let reloadable = reloadable.read().unwrap_or_else(PoisonError::into_inner);
        explain(&reloadable.rules, request, peer)
    })
}

/// `gateway`: what delivers from the stream, in a process that has that beside its own events.
fn stream_report(
    role: admin::StreamRole,
    stream: &StreamWatcher,
    gateway: Option<&delivery::Watcher>,
) -> admin::StreamReport {
    let status = stream.status();
    let gateway = gateway.map(delivery::Watcher::status);
    admin::StreamReport {
        role,
        servers: status.servers,
        name: status.name,
        connected: status.connected,
        error: status.fault.map(|fault| fault.error).or(status.connection_error),
        published: status.published,
        partitions: status.partitions,
        owned: status.owned,
        waiting: status.waiting,
        redelivered: status.redelivered,
        delivery: gateway.map(|gateway| admin::GatewayReport {
            state: sending_state(gateway.delivery.state),
            since: gateway.delivery.since,
            last_error: gateway.delivery.last_error,
            hint: gateway.delivery.hint,
            in_flight: gateway.delivery.in_flight,
        }),
    }
}

fn warnings(troubles: &[Trouble]) -> Vec<String> {
    let lasting = troubles.iter().filter(|trouble| trouble.over_since.is_none());
    let warned = lasting.filter(|trouble| WARNINGS.contains(&trouble.kind));
    warned
        .map(|trouble| format!("{}: {}", trouble.words.what, trouble.words.cure))
        .collect()
}

fn trouble_report(trouble: Trouble) -> admin::TroubleReport {
    let seconds = |since: SystemTime| since.elapsed().unwrap_or_default().as_secs();
    let rfc3339 = |at| humantime::format_rfc3339_seconds(at).to_string();
    admin::TroubleReport {
        kind: trouble.kind.label(),
        severe: trouble.kind.is_severe(),
        what: trouble.words.what,
        error: trouble.words.error,
        cure: trouble.words.cure,
        since: rfc3339(trouble.since),
        seconds: seconds(trouble.since),
        over_since: trouble.over_since.map(rfc3339),
        over_seconds: trouble.over_since.map(seconds),
        times: trouble.times,
    }
}

fn app_condition(state: proxy::AppState) -> admin::AppCondition {
    match state {
        proxy::AppState::Unknown => admin::AppCondition::Unknown,
        proxy::AppState::Up => admin::AppCondition::Up,
        proxy::AppState::Down => admin::AppCondition::Down,
    }
}

fn sending_state(state: delivery::DeliveryState) -> admin::SendingState {
    match state {
        delivery::DeliveryState::Starting => admin::SendingState::Starting,
        delivery::DeliveryState::Passing => admin::SendingState::Passing,
        delivery::DeliveryState::Failing => admin::SendingState::Failing,
        delivery::DeliveryState::Tripped => admin::SendingState::Tripped,
        delivery::DeliveryState::Probing => admin::SendingState::Probing,
        delivery::DeliveryState::Restarting => admin::SendingState::Restarting,
        delivery::DeliveryState::Stopped => admin::SendingState::Stopped,
    }
}

/// What the admin address calls to get decisions.
pub(super) fn decisions_since(
    proxy: Option<&Proxy>,
    observe: Option<&Observe>,
    late: &Arc<LateDecisions>,
) -> admin::DecisionsSince {
    let late = Arc::clone(late);
    let (proxy, observe) = (proxy.map(Proxy::handle), observe.map(Observe::watcher));
    Arc::new(move |since| {
        let (proxy, observe) = (proxy.clone(), observe.clone());
        let mut records = late.since(since);
        Box::pin(async move {
            if let Some(proxy) = proxy {
                records.extend(proxy.decisions(since).await.iter().map(decision_record));
            }
            if let Some(observe) = observe {
                records.extend(observe.decisions(since).into_iter().map(observed_record));
            }
            records.sort_by_key(|record| record.seq);
            records
        })
    })
}

fn observed_record(record: observe::ObservedRequest) -> admin::DecisionRecord {
    admin::DecisionRecord {
        seq: record.seq,
        at: record.at,
        decision: record.verdict.decision,
        why: record.verdict.why,
        method: record.method,
        host: record.host,
        path: record.path,
        status: record.status,
        client: record.client,
        client_from: record.from,
    }
}

fn decision_record(record: &proxy::RecentRequest) -> admin::DecisionRecord {
    let (method, host, path) = record.request();
    admin::DecisionRecord {
        seq: record.seq,
        at: record.at(),
        decision: record.verdict.decision,
        why: record.verdict.why,
        method,
        host,
        path,
        status: record.status,
        client: record.client,
        client_from: record.from,
    }
}
