//! What passes through: bodies stream both ways, connections are reused and given up where they should be,
//! heads go by RFC 9110 and 9112, and an error is a short plain answer that names no app.

mod bodies;
mod connections;
mod early;
mod errors;
mod heads;
mod upgrades;

use crate::support::{
    message::Response,
    origin::Origin,
    process::{Builder, Sidecar},
};

fn before(app: &Origin) -> Sidecar {
    Builder::before(app).start()
}

#[track_caller]
fn assert_short(response: &Response, status: u16) {
    assert_eq!(response.status(), status, "{response:?}");
    assert!(response.body.len() < 200, "a long body: {}", response.text());
    assert!(
        response
            .head
            .get("content-type")
            .is_some_and(|t| t.starts_with("text/plain")),
        "{response:?}"
    );
    assert!(
        !response.text().contains("127.0.0.1"),
        "it names the app: {}",
        response.text()
    );
}
