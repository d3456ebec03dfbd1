//! Asks a server on this machine, or the app, one plain question: enough HTTP to read a status.

use std::io::{self, Read, Write};

/// The longest answer that is read, in bytes.
const LONGEST: u64 = 256 << 10;

/// What was answered.
#[derive(Debug)]
pub(in crate::cli) struct Answered {
    pub(in crate::cli) status: u16,
    /// As much of the body as came.
    pub(in crate::cli) body: Vec<u8>,
}

/// `GET`s a target over a connection, which is read to its end or to its time-out.
///
/// # Errors
/// The connection's; [`InvalidData`](io::ErrorKind::InvalidData) where the answer is no HTTP.
pub(in crate::cli) fn get(
    mut stream: impl Read + Write,
    host: &str,
    target: &str,
    accept: &str,
) -> io::Result<Answered> {
    let version = env!("CARGO_PKG_VERSION");
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: gatecount/{version}\r\nAccept: {accept}\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    // What came before a failure may be an answer.
    let end = stream.take(LONGEST).read_to_end(&mut bytes);
    let Some((status, head)) = parse(&bytes) else {
        let none = if bytes.is_empty() {
            io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it closed the connection without an answer",
            )
        } else {
            io::Error::new(io::ErrorKind::InvalidData, "it answers, but not in HTTP")
        };
        return Err(end.err().filter(|_| bytes.is_empty()).unwrap_or(none));
    };
    Ok(Answered {
        status,
        body: bytes.split_off(head),
    })
}

/// The final status, and the length of all heads up to its end.
fn parse(mut bytes: &[u8]) -> Option<(u16, usize)> {
    let mut before = 0;
    loop {
        let mut slots = [httparse::EMPTY_HEADER; 128];
        let mut response = httparse::Response::new(&mut slots);
        let httparse::Status::Complete(head) = response.parse(bytes).ok()? else {
            return None;
        };
        before += head;
        match response.code? {
            100..=199 => bytes = &bytes[head..],
            status => return Some((status, before)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Takes what is written, and gives this.
    struct Peer(Cursor<&'static [u8]>);

    impl Read for Peer {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Peer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn ask(answer: &'static [u8]) -> io::Result<Answered> {
        get(Peer(Cursor::new(answer)), "a", "/", "*/*")
    }

    #[test]
    fn the_final_status_and_the_body_are_read() {
        let answered =
            ask(b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.0 404 No\r\nA: b\r\n\r\nbody").unwrap();
        assert_eq!((answered.status, answered.body.as_slice()), (404, &b"body"[..]));
    }

    #[test]
    fn what_is_no_answer_says_so() {
        assert!(ask(b"").unwrap_err().to_string().contains("without an answer"));
        assert!(
            ask(b"\x15\x03\x01")
                .unwrap_err()
                .to_string()
                .contains("not in HTTP")
        );
        assert!(ask(b"HTTP/1.1 200 OK\r\n").is_err());
    }
}
