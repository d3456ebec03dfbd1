//! A connection that has switched protocols (RFC 9110 §7.8), such as a WebSocket: bytes pass both ways until
//! both sides have ended. A drain waits for it.

use std::{future::poll_fn, io, rc::Rc, task::Poll};

use super::client::{After, Client};
use crate::proxy::stream::{Stream, Unsent};

/// The side that can go on. What was read lies in the worker's scratch.
enum Ready {
    AppRead(io::Result<usize>),
    AppTakes(io::Result<()>),
    ClientRead(io::Result<usize>),
    ClientTakes(io::Result<()>),
}

/// Moves bytes until the tunnel ends. `to_app`: what the app has not taken yet of the request.
pub(super) async fn run(client: &mut Client, mut app: Stream, mut to_app: Unsent) -> After {
    let early = std::mem::take(&mut client.inbuf);
    if !early.is_empty() && to_app.send(&mut app, &[&early]).is_err() {
        return After::Close;
    }
    // A tunnel may stay idle: its ends keep it alive, or TCP's keep-alive finds one of them gone.
    client.timer.clear();
    // After an error on either side there is nobody to tell.
    let _ = pass(client, &mut app, &mut to_app).await;
    After::Close
}

async fn pass(client: &mut Client, app: &mut Stream, to_app: &mut Unsent) -> io::Result<()> {
    let context = Rc::clone(&client.context);
    let (mut app_open, mut client_open) = (true, true);
    while app_open || client_open || !client.is_flushed() || !to_app.is_empty() {
        let ready = poll_fn(|cx| {
            let scratch = &mut context.scratch.borrow_mut();
            if app_open
                && client.is_flushed()
                && let Poll::Ready(read) = app.poll_read(cx, scratch)
            {
                return Poll::Ready(Ready::AppRead(read));
            }
            if client_open
                && to_app.is_empty()
                && let Poll::Ready(read) = client.poll_read(cx, scratch)
            {
                return Poll::Ready(Ready::ClientRead(read));
            }
            if !to_app.is_empty()
                && let Poll::Ready(ready) = app.poll_write_ready(cx)
            {
                return Poll::Ready(Ready::AppTakes(ready));
            }
            if !client.is_flushed()
                && let Poll::Ready(ready) = client.poll_write_ready(cx)
            {
                return Poll::Ready(Ready::ClientTakes(ready));
            }
            Poll::Pending
        })
        .await;
        match ready {
            Ready::AppRead(read) => match read? {
                0 => {
                    app_open = false;
                    client.stream.shutdown().await;
                }
                n => client.send(&[&context.scratch.borrow()[..n]])?,
            },
            Ready::ClientRead(read) => match read? {
                0 => {
                    client_open = false;
                    app.shutdown().await;
                }
                n => to_app.send(app, &[&context.scratch.borrow()[..n]])?,
            },
            Ready::AppTakes(ready) => {
                ready?;
                to_app.flush(app)?;
            }
            Ready::ClientTakes(ready) => client.flush(ready)?,
        }
    }
    Ok(())
}
