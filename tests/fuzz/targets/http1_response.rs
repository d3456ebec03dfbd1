#![no_main]

mod body;

use body::read as read_body;
use gatecount_fuzz::http1::{BadResponse, Body, Version, field_slots, parse_response};
use httparse::Header;

/// A head as it was read.
#[derive(Debug, PartialEq)]
struct Read<'b> {
    version: Version,
    status: u16,
    reason: &'b str,
    fields: Vec<Header<'b>>,
    body: Body,
    content_length: Option<u64>,
    last: bool,
    len: usize,
}

// The first bit says whether HEAD was asked, what follows of two bytes where the rest is split.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((choice, mut bytes)) = bytes.split_first_chunk() else {
        return;
    };
    let choice = usize::from(u16::from_be_bytes(*choice));
    let (to_head, split) = (choice & 1 == 1, choice >> 1);
    // As many heads as there are interim ones, and one.
    loop {
        let whole = read(bytes, to_head);
        let begun = read(&bytes[..split.min(bytes.len())], to_head);
        assert!(begun == whole || begun == Ok(None), "{begun:?} became {whole:?}");
        let Ok(Some(head)) = &whole else {
            return;
        };
        assert!((1..=bytes.len()).contains(&head.len));
        assert_eq!(read(&bytes[..head.len], to_head), whole);
        framing_is_as_rfc_9112_6_3_orders_it(head, to_head);
        written_afresh_it_is_the_same(head, to_head);
        bytes = &bytes[head.len..];
        if (100..200).contains(&head.status) && head.status != 101 {
            continue;
        }
        let body = read_body(head.body.clone(), bytes, usize::MAX);
        assert_eq!(read_body(head.body.clone(), bytes, split % 7 + 1), body);
        return;
    }
});

fn read(bytes: &[u8], to_head: bool) -> Result<Option<Read<'_>>, BadResponse> {
    let mut slots = field_slots();
    let head = parse_response(bytes, to_head, &mut slots)?;
    Ok(head.map(|head| Read {
        version: head.version,
        status: head.status,
        reason: head.reason,
        fields: head.fields.to_vec(),
        body: head.body,
        content_length: head.content_length,
        last: head.last,
        len: head.len,
    }))
}

fn framing_is_as_rfc_9112_6_3_orders_it(head: &Read<'_>, to_head: bool) {
    let named = |name: &str| {
        let is = |f: &&Header<'_>| f.name.eq_ignore_ascii_case(name);
        head.fields.iter().filter(is).map(|f| f.value).collect::<Vec<_>>()
    };
    let codings = named("transfer-encoding");
    let lengths: Vec<_> = named("content-length")
        .iter()
        .flat_map(|v| v.split(|b| *b == b','))
        .map(number)
        .collect();
    assert!((100..1000).contains(&head.status));
    assert!(
        lengths.iter().all(|one| one.is_some() && *one == lengths[0]),
        "{lengths:?}"
    );
    assert!(codings.is_empty() || head.version == Version::Http11);
    assert!(
        codings.is_empty()
            || matches!(codings.as_slice(), [one] if one.trim_ascii().eq_ignore_ascii_case(b"chunked"))
    );
    assert_eq!(head.last, !codings.is_empty() && !lengths.is_empty());

    let length = lengths.first().copied().flatten();
    let (interim, empty) = (head.status < 200, matches!(head.status, 204 | 304));
    match &head.body {
        Body::Done => assert!(to_head || interim || empty || (length == Some(0) && codings.is_empty())),
        Body::Length(n) => assert!(*n > 0 && length == Some(*n) && codings.is_empty()),
        Body::Chunked(_) => assert!(!codings.is_empty()),
        Body::UntilClose => assert!(codings.is_empty() && length.is_none()),
    }
    assert!(head.body.is_done() || !(to_head || interim || empty));
    let told = codings.is_empty() && !interim && head.status != 204;
    assert_eq!(head.content_length, length.filter(|_| told));
    let controls = |value: &[u8]| value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0));
    assert!(!controls(head.reason.as_bytes()));
    assert!(
        !head
            .fields
            .iter()
            .any(|f| f.name.is_empty() || f.name.contains([' ', ':']) || controls(f.value))
    );
}

fn number(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?.trim_ascii();
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// With its framing written as it was understood, the next reader sees what this one saw, in one way alone.
fn written_afresh_it_is_the_same(head: &Read<'_>, to_head: bool) {
    let is_framing = |f: &&Header<'_>| {
        f.name.eq_ignore_ascii_case("content-length") || f.name.eq_ignore_ascii_case("transfer-encoding")
    };
    let others: Vec<_> = head.fields.iter().filter(|f| !is_framing(f)).collect();
    let mut out = format!("HTTP/1.1 {} {}\r\n", head.status, head.reason).into_bytes();
    for f in &others {
        out.extend_from_slice(f.name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(f.value);
        out.extend_from_slice(b"\r\n");
    }
    if let Some(length) = head.content_length {
        out.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes());
    } else if matches!(head.body, Body::Chunked(_)) {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    out.extend_from_slice(b"\r\n");
    let again = read(&out, to_head).expect("no error").expect("a whole head");
    assert_eq!((again.len, again.last), (out.len(), false));
    assert_eq!((again.status, again.reason), (head.status, head.reason));
    assert_eq!(
        (&again.body, again.content_length),
        (&head.body, head.content_length)
    );
    assert!(again.fields.iter().filter(|f| !is_framing(f)).eq(others));
}
