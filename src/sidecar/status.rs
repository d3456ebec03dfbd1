//! What the admin address shows, put together from the parts.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use crate::{
    admin, config::Config, delivery, delivery::Delivery, lifecycle::Readiness, proxy, proxy::Proxy, queue,
};

/// What the admin address calls to take a status.
pub(super) fn take_status(
    started: Instant,
    config: &Config,
    readiness: &Readiness,
    admin: SocketAddr,
    proxy: &Proxy,
    delivery: &Delivery,
) -> admin::TakeStatus {
    let storage = match config.queue.at {
        queue::At::Disk(_) => admin::Storage::Disk,
        queue::At::Memory => admin::Storage::Memory,
    };
    let (ready, listen) = (readiness.watch(), proxy.bound().to_string());
    let (proxy, delivery) = (proxy.handle(), delivery.watcher());
    Arc::new(move || {
        let delivery::Status { queue, delivery } = delivery.status();
        admin::StatusReport {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: started.elapsed().as_secs_f64(),
            ready: *ready.borrow(),
            listen: listen.clone(),
            admin: admin.to_string(),
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
                warnings: delivery.warnings,
                finished: delivery.finished,
                in_flight: delivery.in_flight,
            },
            decisions: admin::DecisionCounts(proxy.decision_counts()),
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
pub(super) fn decisions_since(proxy: &Proxy) -> admin::DecisionsSince {
    let proxy = proxy.handle();
    Arc::new(move |since| {
        let proxy = proxy.clone();
        Box::pin(async move { proxy.decisions(since).await.iter().map(decision_record).collect() })
    })
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
