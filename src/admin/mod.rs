//! The admin address: metrics, health, status, decisions and the live page.
//!
//! It is read-only: only `GET` and `HEAD` are answered. No response may be stored or read by another origin,
//! requests for foreign host names are refused, and whatever clients sent (paths, hosts) is escaped where it
//! is shown.
//!
//! `/status` and the live page are rendered from the same [`StatusReport`], `/decisions` and the page's list
//! from the same [`DecisionRecord`]s; `words` has the plain words for both. `/explain` tells what becomes of
//! a pasted request, by the code of `gatecount explain`. The chart's hour is sampled here (`history`):
//! nothing is kept for it on a request's way.

mod decision;
mod history;
mod hosts;
mod inputs;
mod live;
mod open_metrics;
mod probes;
mod routes;
mod settings;
mod status;
#[cfg(test)]
mod tests;
mod words;

use std::{sync::Arc, time::Duration};

use tokio::net::TcpListener;

use crate::web::server::{self, Limits};

pub use decision::DecisionRecord;
pub use inputs::{DecisionsSince, ExplainRequest, Explanation, Inputs, TakeStatus};
pub use probes::Probes;
pub use settings::Settings;
pub use status::{
    AppCondition, AppReport, DecisionCounts, DeliveryReport, GatewayReport, ObserveReport, QueueReport,
    SendingState, SitesReport, StatusReport, Storage, StreamReport, StreamRole, TroubleReport,
};

use routes::Routes;

/// How often the counts are sampled for the chart of the last hour.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(5);

/// Serves the admin address until `shutdown` is ready. Streams end then, and responses in progress get a
/// moment.
pub async fn serve(
    listener: TcpListener,
    settings: &Settings,
    inputs: Inputs,
    shutdown: impl Future<Output = ()>,
) {
    let routes = Arc::new(Routes::new(settings, inputs));
    let sampling = Arc::clone(&routes);
    let handler = move |request, connection| {
        let routes = Arc::clone(&routes);
        async move { routes.respond(&request, connection).await }
    };
    let serving = server::serve(listener, Limits::FEW, handler, shutdown);
    let sample = async move {
        loop {
            sampling.sample();
            tokio::time::sleep(SAMPLE_INTERVAL).await;
        }
    };
    tokio::select! {
        () = serving => {}
        () = sample => {}
    }
}
