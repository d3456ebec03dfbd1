//! Asks a server on this machine, or the app, one plain question: enough HTTP to read a status.

use std::io::{self, Read, Write};

/// The longest answer that is read, in bytes.
const LONGEST: usize = 256 << 10;

/// What was answered.
#[derive(Debug)]
pub(in crate::cli) struct Answered {
    pub(in crate::cli) status: u16,
    /// As much of the body as came.
    pub(in crate::cli) body: Vec<u8>,
}

/// `GET`s a target over a connection, which is read as far as the answer's `Content-Length` goes, else to its
/// end or to its time-out.
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
    let end = read(&mut stream, &mut bytes);
    let Some(Head {
        status, end: head, ..
    }) = parse(&bytes)
    else {
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

/// Reads an answer, also from an app that keeps the connection open.
fn read(stream: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut piece = [0; 8 << 10];
    let mut wanted = None;
    while bytes.len() < wanted.unwrap_or(LONGEST) {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => bytes.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if wanted.is_none() {
            let whole = |head: Head| Some(head.end.saturating_add(head.body?).min(LONGEST));
            wanted = parse(bytes).and_then(whole);
        }
    }
    Ok(())
}

/// What an answer's last head says.
struct Head {
    status: u16,
    /// The length of all heads up to its end.
    end: usize,
    /// The body's length.
    body: Option<usize>,
}

/// The head of the final response, once all of it is there.
fn parse(mut bytes: &[u8]) -> Option<Head> {
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
            status => {
                let mut fields = response.headers.iter();
                let length = fields.find(|field| field.name.eq_ignore_ascii_case("content-length"));
                return Some(Head {
                    status,
                    end: before,
                    body: length.and_then(|field| str::from_utf8(field.value).ok()?.trim().parse().ok()),
                });
            }
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

    /// Gives this, and must not be read to its end, as if the connection stayed open.
    struct Keeper(Peer);

    impl Read for Keeper {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => panic!("nothing more is asked for"),
                length => Ok(length),
            }
        }
    }

    impl Write for Keeper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nothing_is_read_behind_the_body() {
        let peer = Peer(Cursor::new(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody"));
        let answered = get(Keeper(peer), "a", "/", "*/*").unwrap();
        assert_eq!(answered.body, b"body");
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
