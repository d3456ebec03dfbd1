//! The one HTTP/2 connection to Plausible, which all senders share.

use std::{
    io,
    time::{Instant, SystemTime},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Body, Incoming},
    client::conn::http2,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::spawn_local,
};

use super::{
    exchange::{LONGEST_BODY, SendError},
    request::Destination,
};
use crate::{
    delivery::outcome::{Outcome, judge},
    event::Event,
    timer::{TimedOut, Timer},
};

/// The connection's receive window, for all responses together, in bytes (RFC 9113 §6.9).
const WINDOW: u32 = 1 << 20;

/// A handle on the connection. Clones share it, and it closes when the last one is dropped.
#[derive(Clone)]
pub(in crate::delivery) struct Http2Connection(http2::SendRequest<Full<Bytes>>);

impl Http2Connection {
    pub(super) async fn open<S>(stream: S) -> io::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (requests, connection) = http2::Builder::new(LocalExecutor)
            .initial_stream_window_size(LONGEST_BODY as u32)
            .initial_connection_window_size(WINDOW)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        spawn_local(async move {
            // The handles see when it has ended.
            let _ = connection.await;
        });
        Ok(Http2Connection(requests))
    }

    pub(super) fn is_open(&self) -> bool {
        !self.0.is_closed()
    }

    /// Sends an event and waits for its outcome.
    pub(super) async fn exchange(
        &mut self,
        destination: &Destination,
        event: &Event<'_>,
        timer: &mut Timer,
        deadline: Instant,
    ) -> Result<Outcome, SendError> {
        let Some(request) = destination.request(event) else {
            return Ok(Outcome::Unreadable);
        };
        let response = async {
            self.0.ready().await.map_err(|_| SendError::Unsent)?;
            let sent = self.0.try_send_request(request).await;
            sent.map_err(|error| match error.message() {
                Some(_) => SendError::Unsent,
                None => SendError::Lost,
            })
        };
        let response = timer.within(deadline, response).await;
        let response = response.map_err(|TimedOut| SendError::TimedOut)??;
        let field = |name: &str| response.headers().get(name).map(http::HeaderValue::as_bytes);
        let outcome = judge(response.status().as_u16(), field, SystemTime::now);
        // The head has the outcome. A body that is too long is dropped, which resets its stream and no other.
        let _ = timer.within(deadline, drain(response.into_body())).await;
        Ok(outcome)
    }
}

async fn drain(mut body: Incoming) {
    let mut drained = 0;
    while !body.is_end_stream() && drained <= LONGEST_BODY {
        let Some(Ok(frame)) = body.frame().await else {
            return;
        };
        drained += frame.data_ref().map_or(0, Bytes::len);
    }
}

/// Runs the connection's own tasks on the delivery thread.
#[derive(Debug, Clone, Copy)]
struct LocalExecutor;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}
