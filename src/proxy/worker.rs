//! One serving thread: its own runtime, listener and [`Context`], and the control messages that reach it.

use std::{rc::Rc, sync::Arc, time::SystemTime};

use tokio::{
    runtime::LocalOptions,
    sync::{mpsc, oneshot},
};

use super::{
    app::reach::AskedFor,
    context::{Context, Phase, Shared},
    listener::{self, Accepting, Listener},
    live::Live,
    recent::RecentRequest,
};

/// A message to a worker.
#[derive(Debug)]
pub(super) enum Control {
    /// Rules that hold from now on.
    Reload(Arc<Live>),
    /// The newest decisions after a sequence number.
    Decisions(u64, oneshot::Sender<Vec<RecentRequest>>),
    /// See whether the app accepts connections.
    TryApp,
    /// A stop has begun: each response is its connection's last.
    Drain,
    /// Accept no more, close what is idle, answer when nothing is left.
    Close(oneshot::Sender<()>),
    /// Drop everything.
    Stop,
}

/// What a worker's thread is started with.
pub(super) struct Parts {
    pub(super) shared: Shared,
    pub(super) listener: Listener,
    /// Whether another process has the listener too, which goes on to listen.
    pub(super) is_shared: bool,
    pub(super) control: mpsc::UnboundedReceiver<Control>,
}

/// The thread's body: serves until it is told to stop.
pub(super) fn run(parts: Parts) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    let context = Rc::new(Context::new(parts.shared));
    runtime.block_on(async {
        match parts.listener.into_tokio(parts.is_shared) {
            Ok(listener) => obey(context, listener, parts.control).await,
            Err(error) => tracing::error!(%error, "a worker can't use its listener"),
        }
    });
    // A DNS lookup under way must not hold up a stop.
    runtime.shutdown_background();
    Ok(())
}

async fn obey(context: Rc<Context>, listener: Accepting, mut control: mpsc::UnboundedReceiver<Control>) {
    let (close, closed) = oneshot::channel();
    let mut close = Some(close);
    let accepting = listener::accept(Rc::clone(&context), listener, closed);
    let mut accepting = Some(tokio::task::spawn_local(accepting));
    tokio::task::spawn_local(Rc::clone(&context.pool).sweep());
    while let Some(order) = control.recv().await {
        match order {
            Control::Reload(live) => *context.live.borrow_mut() = live,
            Control::Decisions(since, answer) => {
                // Whoever asked may have stopped waiting.
                let recent = context.recent.borrow();
                let _ = answer.send(recent.since(since, context.now(), SystemTime::now()));
            }
            Control::TryApp => {
                let context = Rc::clone(&context);
                // How it goes is noted where connections are made; this one is of no use.
                tokio::task::spawn_local(async move {
                    let _ = context.pool.connect(&context.settings.app, AskedFor::Trial).await;
                });
            }
            Control::Drain => context.enter_phase(Phase::Draining),
            Control::Close(answer) => {
                drop(close.take());
                context.enter_phase(Phase::Closing);
                let (context, accepting) = (Rc::clone(&context), accepting.take());
                tokio::task::spawn_local(async move {
                    if let Some(accepting) = accepting {
                        // Nobody aborts it, and a panic in it was logged.
                        let _ = accepting.await;
                    }
                    context.until_empty().await;
                    // Whoever asked may have stopped waiting.
                    let _ = answer.send(());
                });
            }
            Control::Stop => break,
        }
    }
}
