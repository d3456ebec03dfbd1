//! Roles `@app` and `@receiver`: one lean server on one thread, so that the proxy before it is what runs out
//! of CPU.
//!
//! | request | answer |
//! | --- | --- |
//! | `POST` anything | the receiver's status (202, or 503 as from a Plausible that is down), counted |
//! | `GET /count` | how many there were |
//! | `GET /b…` | 100 KiB of HTML |
//! | `GET /h…` | 20 KiB of HTML with elements and text |
//! | `GET /z…` | the same by gzip |
//! | `GET /i…` | 1 KiB of image |
//! | `GET /j…` | 100 KiB of image |
//! | `GET` anything else | 1 KiB of HTML |

use std::{
    io::{self, ErrorKind, Read, Write},
    net::Ipv4Addr,
};

use memchr::memmem;
use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use slab::Slab;

use crate::{Failure, process};

const LISTENER: Token = Token(usize::MAX);

/// The app behind the proxies.
pub(crate) fn app() -> Result<(), Failure> {
    serve(Answers::new("405 Method Not Allowed"))
}

/// The stand-in for Plausible, which answers each event with `status`.
pub(crate) fn receiver(status: &str) -> Result<(), Failure> {
    let line = match status {
        "202" => "202 Accepted",
        "503" => "503 Service Unavailable",
        other => return Err(format!("no receiver answers {other:?}").into()),
    };
    serve(Answers::new(line))
}

/// Every answer there is, made once.
struct Answers {
    page: Vec<u8>,
    big_page: Vec<u8>,
    image: Vec<u8>,
    big_image: Vec<u8>,
    article: Vec<u8>,
    gzip_article: Vec<u8>,
    posted: Vec<u8>,
    posts: u64,
}

impl Answers {
    fn new(posted: &str) -> Self {
        Self {
            page: document("text/html; charset=utf-8", 1 << 10),
            big_page: document("text/html; charset=utf-8", 100 << 10),
            image: document("image/webp", 1 << 10),
            big_image: document("image/webp", 100 << 10),
            article: response("text/html; charset=utf-8", "", &article()),
            gzip_article: response(
                "text/html; charset=utf-8",
                "Content-Encoding: gzip\r\n",
                &gzip(&article()),
            ),
            posted: format!("HTTP/1.1 {posted}\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")
                .into(),
            posts: 0,
        }
    }

    /// Adds the answer to `request` to `output`.
    fn answer(&mut self, request: &Request, output: &mut Output, stream: &mut TcpStream) -> io::Result<()> {
        match request {
            Request::Post => {
                self.posts += 1;
                output.send(&self.posted, stream)
            }
            Request::Count => {
                let count = self.posts.to_string();
                let length = count.len();
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{count}");
                output.send(answer.as_bytes(), stream)
            }
            Request::Get(b'b') => output.send(&self.big_page, stream),
            Request::Get(b'h') => output.send(&self.article, stream),
            Request::Get(b'z') => output.send(&self.gzip_article, stream),
            Request::Get(b'i') => output.send(&self.image, stream),
            Request::Get(b'j') => output.send(&self.big_image, stream),
            Request::Get(_) => output.send(&self.page, stream),
        }
    }
}

/// A response as a web framework would send it.
fn document(kind: &str, length: usize) -> Vec<u8> {
    response(kind, "", &vec![b'.'; length])
}

fn response(kind: &str, lines: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nServer: app\r\nDate: Fri, 02 Jan 2026 10:00:00 GMT\r\nContent-Type: {kind}\r\n\
         Content-Length: {length}\r\nLast-Modified: Thu, 01 Jan 2026 10:00:00 GMT\r\nETag: \"5f3c-{length:x}\"\r\n\
         {lines}Cache-Control: max-age=60\r\nVary: Accept-Encoding\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A page of 20 KiB whose words do not repeat at once, so that it becomes a fourth of that by gzip.
fn article() -> Vec<u8> {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>An article</title>\
         <link rel=\"stylesheet\" href=\"/style.css\"><script src=\"/app.js\" defer></script></head><body><main>",
    );
    let syllables = [
        "ba", "ke", "li", "mo", "nu", "ra", "se", "ti", "vo", "wu", "xa", "ze",
    ];
    let mut state = 1_u32;
    while page.len() < (20 << 10) - 100 {
        page.push_str("<p class=\"text\">");
        for _ in 0..40 {
            for _ in 0..3 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                page.push_str(syllables[(state >> 16) as usize % syllables.len()]);
            }
            page.push(' ');
        }
        page.push_str("</p>\n");
    }
    page.push_str("</main></body></html>");
    page.into_bytes()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::Compress::new_gzip(flate2::Compression::default(), 15);
    let mut out = Vec::with_capacity(text.len() + 1024);
    encoder
        .compress_vec(text, &mut out, flate2::FlushCompress::Finish)
        .expect("there is room for it");
    out
}

/// What is told apart of a request.
enum Request {
    Post,
    Count,
    /// The first byte of the path after its slash.
    Get(u8),
}

/// The first whole request in `input`, and its length.
fn parse(input: &[u8]) -> Result<Option<(Request, usize)>, Failure> {
    let Some(end) = memmem::find(input, b"\r\n\r\n") else {
        return Ok(None);
    };
    let (head, end) = (&input[..end + 2], end + 4);
    if head.starts_with(b"GET /count ") {
        return Ok(Some((Request::Count, end)));
    }
    if head.starts_with(b"GET /") {
        return Ok(Some((Request::Get(head[5]), end)));
    }
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut fields);
    request.parse(&input[..end])?;
    let length = request
        .headers
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length: usize = match length {
        Some(field) => std::str::from_utf8(field.value)?.trim().parse()?,
        None => return Err("a request with a body and without Content-Length".into()),
    };
    Ok((input.len() >= end + length).then_some((Request::Post, end + length)))
}

/// What could not be written yet.
#[derive(Default)]
struct Output {
    waiting: Vec<u8>,
}

impl Output {
    /// Writes `answer`, after what waits; what the socket does not take waits.
    fn send(&mut self, answer: &[u8], stream: &mut TcpStream) -> io::Result<()> {
        let written = if self.waiting.is_empty() {
            write(answer, stream)?
        } else {
            0
        };
        self.waiting.extend_from_slice(&answer[written..]);
        Ok(())
    }

    fn flush(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        if !self.waiting.is_empty() {
            let written = write(&self.waiting, stream)?;
            self.waiting.drain(..written);
        }
        Ok(())
    }
}

/// Writes until the socket takes no more, and says how much it took.
fn write(bytes: &[u8], stream: &mut TcpStream) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    output: Output,
}

impl Connection {
    /// Does all that can be done without waiting; `false` once the peer has closed.
    fn ready(&mut self, answers: &mut Answers, buffer: &mut [u8]) -> Result<bool, Failure> {
        self.output.flush(&mut self.stream)?;
        loop {
            let read = match self.stream.read(buffer) {
                Ok(0) => return Ok(false),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error.into()),
            };
            self.input.extend_from_slice(&buffer[..read]);
            let mut done = 0;
            while let Some((request, length)) = parse(&self.input[done..])? {
                done += length;
                answers.answer(&request, &mut self.output, &mut self.stream)?;
            }
            self.input.drain(..done);
            if read < buffer.len() {
                return Ok(true);
            }
        }
    }
}

/// Serves on a free port of loopback, which it names in a line on standard output, until the bench closes its
/// standard input.
fn serve(mut answers: Answers) -> Result<(), Failure> {
    process::end_with_the_bench();
    let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let mut poll = Poll::new()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("{}", listener.local_addr()?.port());

    let mut connections: Slab<Connection> = Slab::new();
    let mut events = Events::with_capacity(512);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            if event.token() == LISTENER {
                accept(&listener, &poll, &mut connections)?;
                continue;
            }
            let Some(connection) = connections.get_mut(event.token().0) else {
                continue;
            };
            // A broken connection concerns nobody but the proxy that broke it, and the load will tell.
            if !connection.ready(&mut answers, &mut buffer).unwrap_or(false) {
                connections.remove(event.token().0);
            }
        }
    }
}

fn accept(listener: &TcpListener, poll: &Poll, connections: &mut Slab<Connection>) -> Result<(), Failure> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        stream.set_nodelay(true)?;
        let entry = connections.vacant_entry();
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry()
            .register(&mut stream, Token(entry.key()), interest)?;
        entry.insert(Connection {
            stream,
            input: Vec::new(),
            output: Output::default(),
        });
    }
}
