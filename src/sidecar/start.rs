//! The line of the log that says, at the start, what this process does.

use std::net::SocketAddr;

use crate::{client, config::Config, observe::Observe, proxy::Bound, queue, stream};

use super::status::NONE;

/// Logs what is proxied where, who is trusted, what is counted, where events go and are kept, and whence all
/// that is known.
pub(super) fn log(config: &Config, listen: Option<&Bound>, observe: Option<&Observe>, admin: SocketAddr) {
    let listen = listen.map_or_else(|| NONE.to_owned(), ToString::to_string);
    let app = config.proxy.as_ref().map(|proxy| &proxy.app.upstream);
    let app = app.map_or_else(|| NONE.to_owned(), ToString::to_string);
    let mirror = observe.and_then(Observe::mirror);
    let log = observe.and_then(Observe::log).map(ToString::to_string);
    let plausible = config.delivery.base.to_string();
    let queue = match &config.queue.at {
        queue::At::Disk(path) => path.display().to_string(),
        queue::At::Memory => "memory".to_owned(),
    };
    let stream = config.stream.as_ref().map(stream::Settings::servers_in_words);
    let file = match config.files.first() {
        Some(file) => file.display().to_string(),
        None => "none".to_owned(),
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen,
        %admin,
        mirror = mirror.map(tracing::field::display),
        log,
        app,
        trusted = trusted(&config.client),
        sites = config.sites_in_words(),
        plausible,
        stream,
        queue,
        queue_max_bytes = config.queue.max_bytes,
        max_connections = config.proxy.as_ref().map(|proxy| proxy.max_connections),
        workers = config.proxy.as_ref().map(|proxy| proxy.workers),
        config = file,
        "listening"
    );
    if let Some(said) = config.says_of_no_app() {
        tracing::info!("{said}");
    }
    if let Some(stream) = &config.stream {
        say_of_the_stream(config.is_gateway, stream);
    }
    if config.is_gateway {
        return log_warnings(config);
    }
    let trust = config.client.who_could_choose();
    if config.client.believes_everybody() {
        tracing::warn!("{trust}");
    } else {
        tracing::info!("{trust}");
    }
    log_warnings(config);
}

fn say_of_the_stream(is_gateway: bool, stream: &stream::Settings) {
    let name = &stream.name;
    if is_gateway {
        tracing::info!("events come from the stream {name}, and this gateway delivers them");
    } else if stream.deliver {
        tracing::info!("events go into the stream {name}, and this process delivers from it as well");
    } else {
        tracing::info!("events go into the stream {name}, and a gateway delivers them");
    }
}

/// Logs what is no mistake in the configuration and probably not meant.
pub(super) fn log_warnings(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
}

/// Who is trusted to name the client.
pub(super) fn trusted(client: &client::Settings) -> String {
    if client.trusted_hops > 0 {
        return format!("the {} nearest hops", client.trusted_hops);
    }
    let ranges: Vec<&str> = client.trust.ranges().collect();
    if ranges.is_empty() {
        "nobody".to_owned()
    } else {
        ranges.join(", ")
    }
}
