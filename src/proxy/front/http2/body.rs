//! The response body that hyper polls.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context as TaskContext, Poll},
};

use hyper::body::{Body, Frame};

use super::{budget::Piece, streams::OpenStream, transfer::Transfer};

/// See the module.
#[allow(clippy::large_enum_variant)] // the large one is the usual one
pub(super) enum ResponseBody {
    /// The app's.
    App(Transfer),
    /// An answer of gatecount's own, or none.
    Own {
        piece: Option<Piece>,
        /// The stream's place, until hyper has the answer.
        _open: Rc<OpenStream>,
    },
}

impl Body for ResponseBody {
    type Data = Piece;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, io::Error>>> {
        match self.get_mut() {
            ResponseBody::App(transfer) => transfer.poll_data(cx),
            ResponseBody::Own { piece, .. } => Poll::Ready(piece.take().map(|piece| Ok(Frame::data(piece)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ResponseBody::App(transfer) => transfer.is_over(),
            ResponseBody::Own { piece, .. } => piece.is_none(),
        }
    }
}
