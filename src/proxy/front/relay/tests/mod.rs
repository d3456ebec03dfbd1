//! A client's connection and the app's, both of them socket pairs, and what passes between the two.

mod apps;
mod bodies;
mod clients;
mod times;

use std::{sync::Arc, time::Duration};

use tokio::{net::UnixStream, sync::Semaphore, task::JoinHandle};

use super::{super::http1, *};
use crate::{
    client::Peer,
    proxy::{
        front::transport::Transport,
        settings::Settings,
        stream::Stream,
        tests::worker::{FarEnd, Worker, pass, run},
    },
};

/// A request that is a page view.
const PAGE: &str = "GET /a HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) \
    Gecko/20100101 Firefox/140.0\r\nAccept: text/html\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n\r\n";
const GET: &str = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 10\r\n\r\n";

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const HTML: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nok";
/// An answer whose end the client does not know yet.
const STREAM: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A client that is served, and the worker that does so.
struct Scene {
    worker: Worker,
    client: FarEnd,
    served: JoinHandle<()>,
}

impl Scene {
    fn new() -> Self {
        Scene::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let worker = Worker::with(change);
        let (ours, theirs) = UnixStream::pair().unwrap();
        let peer = Peer::from("192.0.2.7:50000".parse::<std::net::SocketAddr>().unwrap());
        let transport = Transport::Plain(Stream::Unix(ours));
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let seat = worker.context.enter(std::task::Waker::noop().clone(), permit);
        let mut client = Client::new(Rc::clone(&worker.context), transport, peer, seat);
        Scene {
            worker,
            client: FarEnd(theirs),
            served: tokio::task::spawn_local(async move { http1::serve(&mut client).await }),
        }
    }

    /// With times that differ from each other, for tests that let them pass.
    fn with_times() -> Self {
        Scene::with(|settings| {
            settings.header_timeout = RATHER_LONG;
            settings.idle_timeout = IDLE;
            settings.app.response_timeout = RESPONSE;
        })
    }

    /// The client asks; the app's end of the new connection that this takes, the request's head read.
    async fn ask(&mut self, request: &str) -> FarEnd {
        self.client.send(request).await;
        let mut app = self.worker.accept().await;
        app.head().await;
        app
    }

    /// The client leaves; waits until its connection is not served any more.
    async fn leave(self) -> Worker {
        drop(self.client);
        let served = tokio::time::timeout(Duration::from_secs(30), self.served).await;
        served.expect("the connection ends").unwrap();
        self.worker
    }

    fn app_errors(&self, reason: &str) -> i64 {
        self.worker.metric("gatecount_app_errors_total", Some(reason))
    }
}

const RATHER_LONG: Duration = Duration::from_mins(1);
const RESPONSE: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(20);
const SECOND: Duration = Duration::from_secs(1);

/// Lets a second less than this time pass.
async fn nearly_pass(time: Duration) {
    pass(time.saturating_sub(SECOND)).await;
}

/// The body of a chunked message, and what stands behind its last chunk.
#[track_caller]
fn decode(mut chunks: &str) -> (String, String) {
    let mut data = String::new();
    loop {
        let (size, rest) = chunks.split_once("\r\n").expect("a chunk's size");
        let size = usize::from_str_radix(size, 16).expect("a size in hex");
        if size == 0 {
            return (data, rest.to_owned());
        }
        data.push_str(&rest[..size]);
        chunks = rest[size..].strip_prefix("\r\n").expect("a chunk's end");
    }
}
