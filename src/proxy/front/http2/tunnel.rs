//! A WebSocket over HTTP/2 (RFC 8441): joins the upgraded stream and the app's switched connection until both
//! sides have ended.

use std::rc::Rc;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt, copy_bidirectional};

use super::streams::OpenStream;
use crate::proxy::{
    app::pool::Place,
    stream::{Stream, Unsent},
};

/// Joins the two. `unsent` is what the app has not taken of the request, `early` what it sent after its head.
pub(super) async fn run(
    places: (Rc<OpenStream>, Place),
    client: OnUpgrade,
    mut app: Stream,
    unsent: Unsent,
    early: Vec<u8>,
) {
    // The places among the open streams and the connections to the app are kept for as long as the tunnel
    // lasts.
    let _places = places;
    let Ok(client) = client.await else { return };
    let mut client = TokioIo::new(client);
    // After an error on either side there is nobody to tell.
    if client.write_all(&early).await.is_ok() && app.write_all(unsent.as_bytes()).await.is_ok() {
        let _ = copy_bidirectional(&mut client, &mut app).await;
    }
}
