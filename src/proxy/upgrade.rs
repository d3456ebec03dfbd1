//! A connection that has switched protocols (RFC 9110 §7.8): bytes pass both ways until both sides have ended. A drain
//! waits for it.

use std::{future::poll_fn, io, task::Poll};

use super::{
    connection::{After, Connection},
    stream::{Stream, Unsent},
};

enum Event {
    App(io::Result<usize>),
    Client(io::Result<usize>),
    AppTakes(io::Result<()>),
    ClientTakes(io::Result<()>),
}

/// Moves bytes until the tunnel ends. `to_app`: what the app has not taken yet of the request.
pub(super) async fn tunnel(c: &mut Connection, mut app: Stream, mut to_app: Unsent) -> After {
    let early = std::mem::take(&mut c.inbuf);
    if !early.is_empty() && to_app.send(&app, &[&early]).is_err() {
        return After::Close;
    }
    // A tunnel that nobody ends may stay: its ends have kept it alive, or TCP's keep-alive finds one gone.
    c.timer.clear();
    // An error on either side leaves nobody to tell it.
    let _ = pass(c, &mut app, &mut to_app).await;
    After::Close
}

async fn pass(c: &mut Connection, app: &mut Stream, to_app: &mut Unsent) -> io::Result<()> {
    let (mut app_open, mut client_open) = (true, true);
    while app_open || client_open || !c.unsent.is_empty() || !to_app.is_empty() {
        let event = {
            let Connection {
                worker,
                stream,
                unsent,
                ..
            } = &mut *c;
            poll_fn(|cx| {
                let scratch = &mut worker.scratch.borrow_mut();
                if app_open
                    && unsent.is_empty()
                    && let Poll::Ready(read) = app.poll_read(cx, scratch)
                {
                    return Poll::Ready(Event::App(read));
                }
                if client_open
                    && to_app.is_empty()
                    && let Poll::Ready(read) = stream.poll_read(cx, scratch)
                {
                    return Poll::Ready(Event::Client(read));
                }
                if !to_app.is_empty()
                    && let Poll::Ready(ready) = app.poll_write_ready(cx)
                {
                    return Poll::Ready(Event::AppTakes(ready));
                }
                if !unsent.is_empty()
                    && let Poll::Ready(ready) = stream.poll_write_ready(cx)
                {
                    return Poll::Ready(Event::ClientTakes(ready));
                }
                Poll::Pending
            })
            .await
        };
        match event {
            Event::App(read) => match read? {
                0 => {
                    app_open = false;
                    c.stream.shutdown().await;
                }
                n => c.unsent.send(&c.stream, &[&c.worker.scratch.borrow()[..n]])?,
            },
            Event::Client(read) => match read? {
                0 => {
                    client_open = false;
                    app.shutdown().await;
                }
                n => to_app.send(app, &[&c.worker.scratch.borrow()[..n]])?,
            },
            Event::AppTakes(ready) => {
                ready?;
                to_app.flush(app)?;
            }
            Event::ClientTakes(ready) => {
                ready?;
                c.unsent.flush(&c.stream)?;
            }
        }
    }
    Ok(())
}
