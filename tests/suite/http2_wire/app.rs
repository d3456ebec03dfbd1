//! An app that thousands of connections at once do not trouble: one thread, a task a connection.

use std::{
    io,
    net::SocketAddr,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::oneshot,
};

const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 5\r\n\r\nhello";
const BIG: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: 1073741824\r\n\r\n";

/// How long `/deaf` reads nothing.
const DEAF: Duration = Duration::from_secs(10);

/// `/big` has a body of a gibibyte, `/hang` is not answered, `/deaf` is not read beyond its head, and
/// everything else is a page once its body was read.
pub(super) struct App {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl App {
    pub(super) fn start() -> App {
        let (tell, address) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let socket = TcpSocket::new_v4().expect("a socket");
                socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("bind");
                // Or thousands of responses that nobody takes would fill the kernel's buffers.
                socket.set_send_buffer_size(16 * 1024).expect("a buffer's size");
                let listener = socket.listen(4096).expect("listen");
                tell.send(listener.local_addr().expect("an address"))
                    .expect("whoever started it waits");
                let serve = async {
                    loop {
                        let (stream, _) = listener.accept().await.expect("accept");
                        // What ends a connection is the test's affair.
                        tokio::spawn(async { serve(stream).await.ok() });
                    }
                };
                tokio::select! {
                    () = serve => {}
                    _ = stopped => {}
                }
            });
        });
        App {
            address: address.recv().expect("an address"),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(
            thread::panicking() || matches!(ended, Some(Ok(()))),
            "the app panicked"
        );
    }
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut ahead = Vec::new();
    loop {
        let head = until(&mut stream, &mut ahead, b"\r\n\r\n").await?;
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        match head.split(' ').nth(1).unwrap_or_default() {
            "/big" => {
                stream.write_all(BIG).await?;
                let piece = vec![b'x'; 64 * 1024];
                for _ in 0..1 << 14 {
                    stream.write_all(&piece).await?;
                }
            }
            "/hang" => {
                let mut rest = [0; 4096];
                while stream.read(&mut rest).await? > 0 {}
                return Ok(());
            }
            "/deaf" => {
                tokio::time::sleep(DEAF).await;
                return Ok(());
            }
            _ => {}
        }
        if head.contains("transfer-encoding: chunked") {
            // The last chunk, and the trailers.
            while ahead.len() < 3 {
                fill(&mut stream, &mut ahead).await?;
            }
            if !ahead.starts_with(b"0\r\n") {
                until(&mut stream, &mut ahead, b"\r\n0\r\n").await?;
                ahead.splice(..0, *b"0\r\n");
            }
            until(&mut stream, &mut ahead, b"\r\n\r\n").await?;
        }
        if let Some((_, length)) = head.split_once("content-length: ") {
            let length = length
                .split("\r\n")
                .next()
                .and_then(|n| n.parse().ok())
                .unwrap_or(0);
            while ahead.len() < length {
                fill(&mut stream, &mut ahead).await?;
            }
            ahead.drain(..length);
        }
        stream.write_all(PAGE).await?;
    }
}

/// Takes what there is up to and with `end`.
async fn until(stream: &mut TcpStream, ahead: &mut Vec<u8>, end: &[u8]) -> io::Result<Vec<u8>> {
    loop {
        if let Some(at) = memchr::memmem::find(ahead, end) {
            return Ok(ahead.drain(..at + end.len()).collect());
        }
        fill(stream, ahead).await?;
    }
}

async fn fill(stream: &mut TcpStream, ahead: &mut Vec<u8>) -> io::Result<()> {
    match stream.read_buf(ahead).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
