//! The tracker script put into pages: `[tracker] inject`.

/// A real browser runs it.
mod browser;

/// What becomes of bodies: every coding, streams, damage.
mod bodies;

/// What becomes of heads: tags, lengths, ranges, HEAD, 304.
mod heads;

/// Which pages get it.
mod pages;

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use crate::support::{
    client::{NAVIGATION, Request},
    http2::Http2,
    message::Response,
    origin::Origin,
    process::{Builder, Sidecar},
};

/// What pages get.
const TAG: &str =
    "<script defer data-domain=\"example.com\" data-api=\"/api/event\" src=\"/js/script.js\"></script>";

/// A page; the script goes to its mark.
const PAGE: &str = "<!doctype html><html><head>▼<title>A page</title></head><body><p>Hello</p></body></html>";

/// Before this app, which also has the script.
fn before(app: &Origin) -> Builder {
    Builder::before(app)
        .set("listen.http2", true)
        .set("tracker.source", format!("{}/js/script.js", app.url()))
        .set("tracker.inject", true)
}

fn sent(page: &str) -> String {
    page.replace('▼', "")
}

fn with_script(page: &str) -> String {
    page.replace('▼', TAG)
}

/// How a client speaks.
#[derive(Debug, Clone, Copy)]
enum Way {
    Http1,
    Http2,
}

const WAYS: [Way; 2] = [Way::Http1, Way::Http2];

impl Way {
    #[track_caller]
    fn ask(self, sidecar: &Sidecar, request: &Request) -> Response {
        match self {
            Way::Http1 => sidecar.client().ask(request),
            Way::Http2 => over_http2(sidecar).ask(request),
        }
    }
}

#[track_caller]
fn over_http2(sidecar: &Sidecar) -> Http2 {
    let stream = TcpStream::connect(sidecar.address).expect("connect");
    Http2::over(stream).expect("HTTP/2")
}

/// A visitor who follows a link.
fn visit(target: &str) -> Request {
    Request::get(target).as_(NAVIGATION).from("203.0.113.7")
}

/// The codings, by their names.
const CODINGS: [&str; 5] = ["identity", "gzip", "deflate", "br", "zstd"];

fn encode(coding: &str, text: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::default();
    let mut out = Vec::new();
    match coding {
        "identity" => return text.to_vec(),
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(&mut out, level);
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap();
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(&mut out, level);
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap();
        }
        "br" => brotli::CompressorWriter::new(&mut out, 4096, 5, 22)
            .write_all(text)
            .unwrap(),
        "zstd" => return zstd::encode_all(text, 3).unwrap(),
        other => panic!("{other} is no coding"),
    }
    out
}

/// As far as it can be decoded.
fn decode(coding: &str, coded: &[u8]) -> Vec<u8> {
    let mut reader: Box<dyn Read> = match coding {
        "identity" => Box::new(coded),
        "gzip" => Box::new(flate2::read::GzDecoder::new(coded)),
        "deflate" => Box::new(flate2::read::ZlibDecoder::new(coded)),
        "br" => Box::new(brotli::Decompressor::new(coded, 4096)),
        "zstd" => Box::new(zstd::Decoder::new(coded).unwrap()),
        other => panic!("{other} is no coding"),
    };
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = reader.read(&mut piece) {
        text.extend_from_slice(&piece[..read]);
    }
    text
}

/// A 200 of `text/html` with further lines and this body, whose length it says.
fn answer(lines: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\n{lines}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
