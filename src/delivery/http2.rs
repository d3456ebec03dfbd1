//! A share in the one HTTP/2 connection to Plausible.

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
    endpoint::{LONGEST_BODY, SendError},
    outcome::{Outcome, judge},
    request::Target,
};
use crate::{
    event::Event,
    timer::{TimedOut, Timer},
};

/// What all responses together may have under way, in bytes.
const WINDOW: u32 = 1 << 20;

/// See the module. Copies share the connection.
#[derive(Clone)]
pub(super) struct Share(http2::SendRequest<Full<Bytes>>);

impl Share {
    /// Opens the connection. It ends when the last share in it is dropped, or the server ends it.
    pub(super) async fn open<S>(stream: S) -> io::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (share, connection) = http2::Builder::new(LocalExecutor)
            .initial_stream_window_size(LONGEST_BODY as u32)
            .initial_connection_window_size(WINDOW)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        spawn_local(async move {
            // Its end shows at the shares.
            let _ = connection.await;
        });
        Ok(Share(share))
    }

    pub(super) fn is_open(&self) -> bool {
        !self.0.is_closed()
    }

    /// Sends an event and waits for its outcome.
    pub(super) async fn exchange(
        &mut self,
        target: &Target,
        event: &Event<'_>,
        timer: &mut Timer,
        deadline: Instant,
    ) -> Result<Outcome, SendError> {
        let Some(request) = target.request(event) else {
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
        // The head tells all. A body that goes on is cut off: that ends its stream, and no other.
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
