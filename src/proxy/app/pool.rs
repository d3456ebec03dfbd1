//! A worker's idle connections to the app, and how a new one is made.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use tokio::{
    net::{TcpStream, UnixStream},
    sync::Notify,
    time::{Instant, sleep, timeout},
};

use crate::proxy::{
    errors::Fault,
    settings::{App, Upstream},
    stream::Stream,
};

/// Idle connections kept at most, per worker.
const MAX_IDLE: usize = 1024;

/// Connections on which a response has ended cleanly. The newest is taken first: it is the least likely to be
/// closing.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Pool {
    idle: RefCell<Vec<Idle>>,
    sweeping: Cell<bool>,
    wake: Notify,
}

#[derive(Debug)]
struct Idle {
    stream: Stream,
    until: Instant,
}

impl Pool {
    /// Takes an idle connection that is not known to be dead.
    pub(in crate::proxy) fn take(&self, cx: &mut TaskContext<'_>, now: Instant) -> Option<Stream> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut one) = idle.pop() {
            // If there is anything to read, the app has closed the connection or speaks out of turn.
            if one.until > now && one.stream.poll_read(cx, &mut [0]).is_pending() {
                return Some(one.stream);
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    pub(in crate::proxy) fn give(&self, stream: Stream, now: Instant, keep: Duration) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MAX_IDLE && !keep.is_zero() {
            idle.push(Idle {
                stream,
                until: now + keep,
            });
            if !self.sweeping.replace(true) {
                self.wake.notify_one();
            }
        }
    }

    /// Closes connections that have been idle for too long, for as long as the worker runs. Sleeps while
    /// there are none.
    pub(in crate::proxy) async fn sweep(self: Rc<Self>) {
        loop {
            sleep(Duration::from_millis(500)).await;
            let now = Instant::now();
            self.idle.borrow_mut().retain(|one| one.until > now);
            if self.idle.borrow().is_empty() {
                self.sweeping.set(false);
                self.wake.notified().await;
            }
        }
    }
}

/// A new connection to the app.
///
/// # Errors
/// [`Fault::Connect`] and [`Fault::ConnectTimeout`].
pub(in crate::proxy) async fn connect(app: &App) -> Result<Stream, Fault> {
    let connecting = async {
        match &app.upstream {
            Upstream::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Upstream::Unix(path) => UnixStream::connect(path).await.map(Stream::Unix),
        }
    };
    match timeout(app.connect_timeout, connecting).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(e)) => Err(Fault::Connect(e.kind())),
        Err(_) => Err(Fault::ConnectTimeout),
    }
}

/// How long the app says it keeps the connection: `Keep-Alive: timeout=N` (seconds), less a second because
/// the next request needs time to arrive.
pub(in crate::proxy) fn keep_alive_hint(value: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?;
    let seconds = text.split(',').find_map(|p| {
        let (name, value) = p.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("timeout")
            .then(|| value.trim().trim_matches('"').parse::<u32>().ok())?
    })?;
    Some(Duration::from_secs(u64::from(seconds)).saturating_sub(Duration::from_secs(1)))
}

/// Polls a pool without a task's context at hand.
pub(in crate::proxy) async fn take(pool: &Pool, now: Instant) -> Option<Stream> {
    // Once a task has used up tokio's budget, every read is pending, and a dead connection would look alive.
    tokio::task::unconstrained(std::future::poll_fn(|cx| Poll::Ready(pool.take(cx, now)))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_apps_keep_alive_is_obeyed_with_a_second_to_spare() {
        for (value, expected) in [
            ("timeout=5, max=100", Some(4)),
            ("max=100, Timeout = 72", Some(71)),
            ("timeout=1", Some(0)),
            ("max=1", None),
            ("timeout=x", None),
        ] {
            assert_eq!(
                keep_alive_hint(value.as_bytes()),
                expected.map(Duration::from_secs),
                "{value}"
            );
        }
    }
}
