//! The admin address: metrics, health, status, decisions and the live page.
//!
//! It is read-only: only `GET` and `HEAD` are answered. No response may be stored or read by another origin,
//! requests for foreign host names are refused, and whatever clients sent (paths, hosts) is escaped where it
//! is shown.
//!
//! `/status` and the live page are rendered from the same [`StatusReport`], `/decisions` and the page's list
//! from the same [`DecisionRecord`]s.

mod decision;
mod hosts;
mod inputs;
mod live;
mod mask;
mod open_metrics;
mod probes;
mod routes;
mod settings;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::net::TcpListener;

use crate::web::server::{self, Limits};

pub use decision::DecisionRecord;
pub use inputs::{DecisionsSince, Inputs, TakeStatus};
pub use mask::{Masked, masked};
pub use probes::Probes;
pub use settings::Settings;
pub use status::{
    DecisionCounts, DeliveryReport, ObserveReport, QueueReport, SendingState, StatusReport, Storage,
};

use routes::Routes;

/// Serves the admin address until `shutdown` is ready. Streams end then, and responses in progress get a
/// moment.
pub async fn serve(
    listener: TcpListener,
    settings: &Settings,
    inputs: Inputs,
    shutdown: impl Future<Output = ()>,
) {
    let routes = Arc::new(Routes::new(settings, inputs));
    let handler = move |request, connection| {
        let routes = Arc::clone(&routes);
        async move { routes.respond(&request, connection).await }
    };
    server::serve(listener, Limits::FEW, handler, shutdown).await;
}
