//! A client of raw bytes for the tests of what is served here.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than anything here takes; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends one request and gives back all that comes until the server closes, as it should after `Connection: close`.
pub(crate) async fn ask(to: SocketAddr, head: &str, body: &[u8]) -> String {
    let mut stream = open(to, head, body).await;
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("the server closes in time")
        .unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// `GET`s a path.
pub(crate) async fn get(to: SocketAddr, path: &str) -> String {
    ask(to, &format!("GET {path} HTTP/1.1"), b"").await
}

/// Sends one request and leaves the answer to be read. `head` lacks `Host`, the framing and the empty line.
pub(crate) async fn open(to: SocketAddr, head: &str, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let mut bytes = format!(
        "{}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        head.trim_end(),
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    stream.write_all(&bytes).await.unwrap();
    stream
}

/// Reads on until `text` holds the wanted words.
pub(crate) async fn until(stream: &mut TcpStream, text: &mut String, wanted: &str) {
    let mut buffer = [0; 4096];
    while !text.contains(wanted) {
        let read = timeout(PATIENCE, stream.read(&mut buffer))
            .await
            .unwrap_or_else(|_| panic!("waited for {wanted:?} after {text:?}"))
            .unwrap();
        assert_ne!(read, 0, "the stream ended before {wanted:?}: {text:?}");
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
}

/// The body of an answer with `Content-Length`.
pub(crate) fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("a head").1
}
