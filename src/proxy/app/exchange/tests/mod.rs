//! The app's side of a request over a socket pair: exact bytes in, and what a front sees of them.

mod bodies;
mod ends;
mod heads;

use std::{future::poll_fn, sync::Arc};

use tokio::{net::UnixStream, sync::Semaphore};

use super::*;
use crate::{
    client::Peer,
    http1::field_slots,
    proxy::{
        asked::Asked,
        plan::{Route, plan},
        tests::worker::{FarEnd, Worker, run, see_sockets},
    },
};

/// What a front sees of a response, data put together.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Interim(u16),
    Switch(u16),
    Head(u16),
    Data(String),
    /// The response is complete, with these trailers.
    End(String),
    /// The request may go over another connection.
    Repeat,
    Fault(String),
}

/// An exchange, and what was seen of it.
struct Front {
    exchange: Exchange,
    seen: Vec<Seen>,
}

/// A request: its method, its framing, and whether it asks to switch protocols.
#[derive(Clone, Copy)]
struct Request(&'static str, Framing, bool);

const GET: Request = Request("GET", Framing::None, false);
const HEAD: Request = Request("HEAD", Framing::None, false);
const POST: Request = Request("POST", Framing::Length(10), false);
const UPGRADE: Request = Request("GET", Framing::None, true);

impl Request {
    fn plan(self, worker: &Worker) -> Plan {
        let Request(method, framing, upgrade) = self;
        let fields = [("Connection", "upgrade"), ("Upgrade", "chat")].map(|(name, value)| httparse::Header {
            name,
            value: value.as_bytes(),
        });
        let asked = Asked {
            method,
            target: "/",
            host: Some("example.com"),
            https: false,
            version: http::Version::HTTP_11,
            fields: if upgrade { &fields } else { &[] },
            framing,
            expects_continue: false,
            websocket: false,
        };
        match plan(&worker.context, Peer::Unix, &asked) {
            Route::App(plan) => plan,
            Route::Answer(..) => panic!("the app answers it"),
        }
    }

    /// Begins over a connection that was used before, or over a new one. Beside it the app's end, which has
    /// read the head.
    async fn begin(self, worker: &Worker, reused: bool) -> (Front, FarEnd) {
        let context = &worker.context;
        let plan = self.plan(worker);
        let far = reused.then(|| give(worker));
        let exchange = open(&context.pool, &context.settings.app, &plan).await.unwrap();
        let mut far = match far {
            Some(far) => far,
            None => worker.accept().await,
        };
        let head = far.head().await;
        assert_eq!(head.as_bytes(), plan.record.head());
        (Front::new(exchange), far)
    }
}

/// Puts a connection into the pool. The app's end of it.
fn give(worker: &Worker) -> FarEnd {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let pool = &worker.context.pool;
    let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    pool.give(Stream::Unix(ours), place, Instant::now(), Duration::from_mins(1));
    FarEnd(theirs)
}

/// A pooled connection, as of now.
async fn take(worker: &Worker) -> Option<Stream> {
    see_sockets().await;
    let taken = pool::take(&worker.context.pool, Instant::now()).await;
    taken.map(|(stream, _)| stream)
}

impl Front {
    fn new(exchange: Exchange) -> Self {
        Front {
            exchange,
            seen: Vec::new(),
        }
    }

    /// Reads once, and takes apart what there is. Whether more is to come.
    async fn read(&mut self) -> bool {
        let mut scratch = [0; 4096];
        let read = poll_fn(|cx| self.exchange.poll_read(cx, &mut scratch)).await;
        match read {
            Ok(n) if n > 0 => self.pass(&scratch[..n]),
            end => match self.exchange.end_of_app(&end) {
                Ok(()) => self.seen.push(Seen::End(String::new())),
                Err(Failure::Repeat) => self.seen.push(Seen::Repeat),
                Err(Failure::Fault(fault)) => self.seen.push(Seen::Fault(fault.to_string())),
            },
        }
        let last = self.seen.last();
        !matches!(
            last,
            Some(Seen::Switch(_) | Seen::End(_) | Seen::Repeat | Seen::Fault(_))
        )
    }

    /// Reads to the end, be it good or bad.
    async fn read_all(mut self) -> (Vec<Seen>, Exchange) {
        while self.read().await {}
        (self.seen, self.exchange)
    }

    fn pass(&mut self, read: &[u8]) {
        if let Err(fault) = self.try_pass(read) {
            self.seen.push(Seen::Fault(fault.to_string()));
        }
    }

    fn try_pass(&mut self, read: &[u8]) -> Result<(), Fault> {
        if self.exchange.has_head() {
            return self.pass_data(read);
        }
        let joined = self.exchange.join(read);
        let mut bytes = joined.as_deref().unwrap_or(read);
        while !bytes.is_empty() {
            let mut slots = field_slots();
            match self.exchange.next_head(&mut bytes, &mut slots)? {
                Some(Head::Interim(head)) => self.seen.push(Seen::Interim(head.status)),
                Some(Head::Switch(head)) => {
                    self.seen
                        .push(Seen::Data(String::from_utf8_lossy(bytes).into_owned()));
                    self.seen.push(Seen::Switch(head.status));
                    return Ok(());
                }
                Some(Head::Final(head)) => {
                    self.seen.push(Seen::Head(head.status));
                    return self.pass_data(bytes);
                }
                None => return self.exchange.keep_partial(bytes),
            }
        }
        Ok(())
    }

    fn pass_data(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        while let Some(data) = self.exchange.next_data(&mut bytes)? {
            let text = std::str::from_utf8(data).unwrap();
            match self.seen.last_mut() {
                Some(Seen::Data(before)) => before.push_str(text),
                _ if text.is_empty() => {}
                _ => self.seen.push(Seen::Data(text.to_owned())),
            }
        }
        if self.exchange.is_over() {
            let trailers = String::from_utf8_lossy(self.exchange.trailers());
            self.seen.push(Seen::End(trailers.into_owned()));
        }
        Ok(())
    }
}

/// What a front sees of a response that comes in one piece, the app's end left open.
async fn see(worker: &Worker, request: Request, response: &str) -> (Vec<Seen>, Exchange, FarEnd) {
    let (front, mut far) = request.begin(worker, false).await;
    far.send(response).await;
    let (seen, exchange) = front.read_all().await;
    (seen, exchange, far)
}

fn data(text: &str) -> Seen {
    Seen::Data(text.to_owned())
}

fn end() -> Seen {
    Seen::End(String::new())
}

fn fault(fault: &Fault) -> Seen {
    Seen::Fault(fault.to_string())
}
