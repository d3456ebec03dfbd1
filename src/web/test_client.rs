//! A client of raw bytes for the tests of these servers.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Longer than anything here takes; a test that waits this long has failed.
const DEADLINE: Duration = Duration::from_secs(10);

/// Sends one request and returns everything until the server closes, as it should after `Connection: close`.
pub(crate) async fn send(to: SocketAddr, head: &str, body: &[u8]) -> String {
    let mut stream = open(to, head, body).await;
    let mut response = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut response))
        .await
        .expect("the server closes in time")
        .unwrap();
    String::from_utf8_lossy(&response).into_owned()
}

/// `GET`s a path.
pub(crate) async fn get(to: SocketAddr, path: &str) -> String {
    send(to, &format!("GET {path} HTTP/1.1"), b"").await
}

/// Sends one request and leaves the response to be read. `head` lacks the framing and the empty line; `Host`
/// is `localhost` unless `head` has one.
pub(crate) async fn open(to: SocketAddr, head: &str, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let head = head.trim_end();
    let host = if head.to_ascii_lowercase().contains("\r\nhost:") {
        ""
    } else {
        "Host: localhost\r\n"
    };
    let mut bytes = format!(
        "{head}\r\n{host}Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    stream.write_all(&bytes).await.unwrap();
    stream
}

/// Reads into `text` until it contains `wanted`.
pub(crate) async fn read_until(stream: &mut TcpStream, text: &mut String, wanted: &str) {
    let mut buffer = [0; 4096];
    while !text.contains(wanted) {
        let read = timeout(DEADLINE, stream.read(&mut buffer))
            .await
            .unwrap_or_else(|_| panic!("waited for {wanted:?} after {text:?}"))
            .unwrap();
        assert_ne!(read, 0, "the stream ended before {wanted:?}: {text:?}");
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
}

/// The body of a response with `Content-Length`.
pub(crate) fn body(response: &str) -> &str {
    response.split_once("\r\n\r\n").expect("a head").1
}
