//! A Plausible-compatible receiver. It takes events as strictly as [`crate::plausible`] reads them, counts
//! them in memory, and shows the counts on a page that refreshes itself.

mod board;
mod page;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use http::HeaderValue;
use http_body_util::BodyExt;
use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use serde_json::json;
use tokio::{
    net::TcpListener,
    sync::watch,
    time::{Instant, timeout},
};

use super::DemoLinks;
use crate::plausible::{Accepted, FieldErrors, MAX_BODY, accept};
use crate::web::response::{self, ResponseBody};
use crate::web::server::{self, ConnectionInfo, Limits};

use board::{Board, ReceivedAt};

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves the receiver until `shutdown` is ready: `/api/event`, `/api/health`, and the page at `/`. Events of
/// sites other than `domain` are dropped, as Plausible drops events of unknown sites.
///
/// The page links to the demo's other ones.
pub async fn serve(
    listener: TcpListener,
    domain: &str,
    links: DemoLinks,
    shutdown: impl Future<Output = ()>,
) {
    let receiver = Arc::new(Receiver {
        domain: domain.to_owned(),
        links,
        started: Instant::now(),
        board: Mutex::new(Board::new(fastrand::u64(..))),
        arrivals: watch::Sender::new(0),
    });
    let handler = move |request, connection| {
        let receiver = Arc::clone(&receiver);
        async move { receiver.respond(request, connection).await }
    };
    server::serve(listener, Limits::FEW, handler, shutdown).await;
}

struct Receiver {
    /// The only known site.
    domain: String,
    links: DemoLinks,
    started: Instant,
    board: Mutex<Board>,
    /// The number of events that have arrived.
    arrivals: watch::Sender<u64>,
}

impl Receiver {
    async fn respond(
        &self,
        request: Request<Incoming>,
        connection: ConnectionInfo,
    ) -> Response<ResponseBody> {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            "/api/event" if request.method() == Method::POST => self.receive(request, connection).await,
            "/api/event" => response::method_not_allowed("POST"),
            "/" | "/live" | "/api/health" if !reads => response::method_not_allowed("GET, HEAD"),
            "/" => page::page(&self.domain, &self.links, &self.board(), self.now()),
            "/live" => self.follow(&request, connection),
            "/api/health" => response::json(
                StatusCode::OK,
                &json!({"clickhouse": "ok", "postgres": "ok", "sites_cache": "ok"}),
            ),
            _ => response::not_found(),
        }
    }

    async fn receive(
        &self,
        request: Request<Incoming>,
        connection: ConnectionInfo,
    ) -> Response<ResponseBody> {
        let (head, body) = request.into_parts();
        let Ok(body) = timeout(BODY_TIMEOUT, read(body)).await else {
            return response::text(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time");
        };
        let fields: Vec<_> = head
            .headers
            .iter()
            .map(|(name, value)| httparse::Header {
                name: name.as_str(),
                value: value.as_bytes(),
            })
            .collect();
        match accept(&fields, connection.peer, &body) {
            Ok(event) if head.headers.get("x-debug-request").is_some_and(|v| v == "true") => {
                response::text(StatusCode::OK, &event.client.to_string())
            }
            Ok(event) => self.take(&event),
            Err(errors) => self.refuse(&errors),
        }
    }

    /// Answers 202, whether the event is counted or dropped. A header tells if it is dropped, as with
    /// Plausible.
    fn take(&self, event: &Accepted) -> Response<ResponseBody> {
        let (dropped, reason) = self.drops(event);
        let now = self.now();
        if dropped < event.domains.len() {
            self.board().count(event, &self.domain, now);
        } else {
            self.board().drop_event(event, reason, now);
        }
        self.arrivals.send_modify(|n| *n += 1);
        let mut response = response::text(StatusCode::ACCEPTED, "ok");
        if dropped > 0 {
            response
                .headers_mut()
                .insert("x-plausible-dropped", HeaderValue::from(dropped));
        }
        response
    }

    fn refuse(&self, errors: &FieldErrors) -> Response<ResponseBody> {
        self.board().refuse(errors, self.now());
        self.arrivals.send_modify(|n| *n += 1);
        response::json(StatusCode::BAD_REQUEST, &errors.to_json())
    }

    /// How many of the event's sites drop it, and why.
    fn drops(&self, event: &Accepted) -> (usize, &'static str) {
        if event.data_centre {
            return (event.domains.len(), "a data-centre address");
        }
        if names_a_robot(&event.user_agent) {
            return (event.domains.len(), "a bot");
        }
        let unknown = event.domains.iter().filter(|d| **d != self.domain).count();
        (unknown, "an unknown site")
    }

    /// A stream with an event for each arrival.
    fn follow(&self, request: &Request<Incoming>, mut connection: ConnectionInfo) -> Response<ResponseBody> {
        let (events, response) = response::event_stream();
        if request.method() == Method::GET {
            let mut arrivals = self.arrivals.subscribe();
            tokio::spawn(async move {
                let send = async {
                    while let Some(Ok(())) = events.while_waiting(arrivals.changed()).await {
                        let number = arrivals.borrow_and_update().to_string();
                        if !events.send(&number, &number).await {
                            return;
                        }
                    }
                };
                tokio::select! {
                    () = connection.closing() => {}
                    () = send => {}
                }
            });
        }
        response
    }

    fn now(&self) -> ReceivedAt {
        ReceivedAt {
            since_start: self.started.elapsed(),
            clock: SystemTime::now(),
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        // A panic while the board is updated makes a count wrong by one at worst.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the body up to one byte more than is allowed, so that the length tells whether it is too long. If
/// the connection breaks, the rest is missing.
async fn read(mut body: Incoming) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            let room = (MAX_BODY + 1).saturating_sub(bytes.len());
            bytes.extend_from_slice(&data[..data.len().min(room)]);
            if bytes.len() > MAX_BODY {
                break;
            }
        }
    }
    bytes
}

/// Whether a user agent calls itself a robot. Senders are expected to drop these themselves.
fn names_a_robot(user_agent: &[u8]) -> bool {
    let text = String::from_utf8_lossy(user_agent).to_ascii_lowercase();
    ["bot", "crawler", "spider"]
        .iter()
        .any(|word| text.contains(word))
}
