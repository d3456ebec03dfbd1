#![no_main]

mod body;

use body::{End, Read, read};
use gatecount_fuzz::http1::{Body, Chunked, write_chunk, write_last_chunk};

// The first byte says how long the pieces are. The rest is read as a chunked body, and written as one.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((size, bytes)) = bytes.split_first() else {
        return;
    };
    let size = usize::from(*size) + 1;
    let whole = read(chunked(), bytes, usize::MAX);
    assert_eq!(read(chunked(), bytes, size), whole);
    assert_eq!(read(chunked(), bytes, 1), whole);
    match &whole.end {
        End::Done(used) => {
            assert_eq!(
                by_the_grammar(bytes),
                Some((whole.data.clone(), whole.trailers.clone(), *used))
            );
            // What follows belongs to the next message.
            assert_eq!(read(chunked(), &bytes[..*used], size), whole);
        }
        End::Open | End::Malformed(_) => assert_eq!(by_the_grammar(bytes), None),
    }
    written_again_it_is_the_same(&whole, size);
    written_again_it_is_the_same(
        &Read {
            data: bytes.to_vec(),
            trailers: Vec::new(),
            end: End::Open,
        },
        size,
    );
});

fn chunked() -> Body {
    Body::Chunked(Chunked::default())
}

fn written_again_it_is_the_same(body: &Read, size: usize) {
    let mut out = Vec::new();
    for piece in body.data.chunks(size) {
        write_chunk(piece, &mut out);
    }
    write_chunk(&[], &mut out);
    write_last_chunk(&body.trailers, |_| true, &mut out);
    let length = out.len();
    out.extend_from_slice(b"HTTP/1.1 200 OK\r\n\r\n");
    let again = read(chunked(), &out, size);
    assert_eq!((&again.data, &again.end), (&body.data, &End::Done(length)));
    // Fields and nothing else are written, so a second writing changes no more.
    let mut third = Vec::new();
    write_last_chunk(&again.trailers, |_| true, &mut third);
    assert!(third.ends_with(&[again.trailers.as_slice(), b"\r\n"].concat()));
    let mut none = Vec::new();
    write_last_chunk(&body.trailers, |_| false, &mut none);
    assert_eq!(none, b"0\r\n\r\n");
}

/// A second reader of RFC 9112 §7.1, line by line: data, trailers and length of a whole body under the
/// limits.
fn by_the_grammar(bytes: &[u8]) -> Option<(Vec<u8>, Vec<u8>, usize)> {
    let (mut at, mut data) = (0, Vec::new());
    loop {
        let size_line = line(bytes, &mut at)?;
        let semicolon = size_line.iter().position(|b| *b == b';');
        let (digits, extension) = size_line.split_at(semicolon.unwrap_or(size_line.len()));
        let mut text = std::str::from_utf8(digits).ok()?;
        if semicolon.is_some() {
            text = text.trim_end_matches([' ', '\t']);
        }
        if !(1..=15).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let skipped = size_line.len() - text.len();
        if skipped > 1025 || extension.iter().any(|b| (*b < b' ' && *b != b'\t') || *b == 127) {
            return None;
        }
        let size = usize::from_str_radix(text, 16).ok()?;
        if size == 0 {
            break;
        }
        data.extend_from_slice(bytes.get(at..)?.get(..size)?);
        at += size;
        if !line(bytes, &mut at)?.is_empty() {
            return None;
        }
    }
    let start = at;
    while !line(bytes, &mut at)?.is_empty() {}
    let trailers = bytes[start..at - 2].to_vec();
    (trailers.len() <= 16 * 1024).then_some((data, trailers, at))
}

/// Up to the next CRLF, which is passed over; CR and LF stand nowhere else.
fn line<'a>(bytes: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let rest = bytes.get(*at..)?;
    let end = rest.iter().position(|b| matches!(b, b'\r' | b'\n'))?;
    if !rest[end..].starts_with(b"\r\n") {
        return None;
    }
    *at += end + 2;
    Some(&rest[..end])
}
