//! Role `@hyper`: a reverse proxy as one would build it on hyper, kept as lean as it goes: a thread a CPU,
//! each with its own runtime, listener and connections to the app; forwarding headers are set, nothing is
//! counted. What gatecount's own codec is measured against.

use std::{
    cell::RefCell,
    error::Error,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    thread,
};

use hyper::{
    Request, Response, Uri,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    client::conn::http1::{SendRequest, handshake},
    header::{CONNECTION, HeaderName, HeaderValue, TE, UPGRADE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime,
    task::{LocalSet, spawn_local},
};

use crate::{Failure, process};

/// Why a request can't be answered; hyper closes its connection.
type Fault = Box<dyn Error + Send + Sync>;

/// Idle connections to the app that a thread keeps.
const IDLE: usize = 256;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Serves on `port` before the app on `app`, until the bench closes its standard input.
pub(crate) fn main(port: &str, app: &str) -> Result<(), Failure> {
    process::end_with_the_bench();
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?));
    let app = SocketAddr::from((Ipv4Addr::LOCALHOST, app.parse()?));
    let threads: Vec<_> = (0..thread::available_parallelism()?.get())
        .map(|_| thread::spawn(move || worker(listen, app).map_err(|error| error.to_string())))
        .collect();
    for thread in threads {
        thread.join().map_err(|_| "a worker panicked")??;
    }
    Ok(())
}

fn worker(listen: SocketAddr, app: SocketAddr) -> Result<(), Failure> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&listen.into())?;
    socket.listen(4096)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::from_std(socket.into())?;
        let pool = Rc::new(Pool {
            app,
            idle: RefCell::default(),
        });
        loop {
            let (stream, peer) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let pool = Rc::clone(&pool);
            let from: HeaderValue = peer.ip().to_string().parse()?;
            spawn_local(async move {
                let service = service_fn(|request| pass(&pool, &from, request));
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service);
                // The load says what it misses.
                let _ = connection.await;
            });
        }
    })
}

/// Hands a request to the app and its response back.
async fn pass(
    pool: &Rc<Pool>,
    from: &HeaderValue,
    mut request: Request<Incoming>,
) -> Result<Response<Answer>, Fault> {
    let headers = request.headers_mut();
    for name in [CONNECTION, TE, UPGRADE] {
        headers.remove(name);
    }
    headers.append(FORWARDED_FOR, from.clone());
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
    let mut sender = pool.take().await?;
    let response = sender.send_request(request).await?;
    let (mut head, body) = response.into_parts();
    head.headers.remove(CONNECTION);
    let answer = Answer {
        body,
        sender: Some(sender),
        pool: Rc::clone(pool),
    };
    Ok(Response::from_parts(head, answer))
}

/// A thread's connections to the app.
struct Pool {
    app: SocketAddr,
    idle: RefCell<Vec<SendRequest<Incoming>>>,
}

impl Pool {
    async fn take(&self) -> Result<SendRequest<Incoming>, Fault> {
        loop {
            let Some(mut sender) = self.idle.borrow_mut().pop() else {
                break;
            };
            if sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let stream = TcpStream::connect(self.app).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        spawn_local(connection);
        Ok(sender)
    }

    fn give_back(&self, sender: SendRequest<Incoming>) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < IDLE {
            idle.push(sender);
        }
    }
}

/// A response's body; its connection goes back when it has been read.
struct Answer {
    body: Incoming,
    sender: Option<SendRequest<Incoming>>,
    pool: Rc<Pool>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let over = matches!(polled, Poll::Ready(None)) || self.body.is_end_stream();
        if over && let Some(sender) = self.sender.take() {
            self.pool.give_back(sender);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
