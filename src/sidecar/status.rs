//! What the admin address shows, put together from the parts.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use prometheus::IntCounterVec;

use super::decisions::{self, LateDecisions};
use crate::{
    admin,
    config::Config,
    delivery,
    delivery::Delivery,
    lifecycle::Readiness,
    observe::{self, Observe},
    proxy,
    proxy::Proxy,
    queue,
};

/// The parts that a status is put together from.
pub(super) struct StatusParts<'a> {
    pub(super) started: Instant,
    pub(super) config: &'a Config,
    pub(super) readiness: &'a Readiness,
    pub(super) admin: SocketAddr,
    pub(super) proxy: Option<&'a Proxy>,
    pub(super) observe: Option<&'a Observe>,
    pub(super) delivery: &'a Delivery,
    pub(super) decisions: IntCounterVec,
}

/// Where clients connect if there is no app.
pub(super) const NONE: &str = "none";

/// What the admin address calls to take a status.
pub(super) fn take_status(parts: StatusParts<'_>) -> admin::TakeStatus {
    let (started, admin, decisions) = (parts.started, parts.admin, parts.decisions);
    let storage = match parts.config.queue.at {
        queue::At::Disk(_) => admin::Storage::Disk,
        queue::At::Memory => admin::Storage::Memory,
    };
    let listen = parts
        .proxy
        .map_or_else(|| NONE.to_owned(), |proxy| proxy.bound().to_string());
    let observe = parts.observe.map(|observe| admin::ObserveReport {
        mirror: observe.mirror().map(|address| address.to_string()),
        log: observe.log().map(ToString::to_string),
    });
    let (ready, delivery) = (parts.readiness.watch(), parts.delivery.watcher());
    let proxy = parts.proxy.map(Proxy::handle);
    Arc::new(move || {
        let delivery::Status { queue, delivery } = delivery.status();
        let of_pages = proxy.as_ref().map(proxy::Handle::warnings).unwrap_or_default();
        admin::StatusReport {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: started.elapsed().as_secs_f64(),
            ready: *ready.borrow(),
            listen: listen.clone(),
            admin: admin.to_string(),
            observe: observe.clone(),
            queue: admin::QueueReport {
                at: storage,
                events: queue.events,
                bytes: queue.bytes,
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
                warnings: [delivery.warnings, of_pages].concat(),
                finished: delivery.finished,
                in_flight: delivery.in_flight,
            },
            decisions: admin::DecisionCounts(decisions::counts(&decisions)),
        }
    })
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
        client: record.client.map(admin::masked),
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
        client: record.client.map(admin::masked),
        client_from: record.from,
    }
}
