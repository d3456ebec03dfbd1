#![no_main]

mod body;

use body::read as read_body;
use gatecount_fuzz::http1::{Body, Refusal, Version, field_slots, head_end, parse_request};
use httparse::Header;

/// A head as it was read.
#[derive(Debug, PartialEq)]
struct Read<'b> {
    method: &'b str,
    target: &'b str,
    host: Option<&'b str>,
    version: Version,
    fields: Vec<Header<'b>>,
    body: Body,
    expects_continue: bool,
    len: usize,
}

// The first two bytes say where the rest is split.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((split, bytes)) = bytes.split_first_chunk() else {
        return;
    };
    let split = usize::from(u16::from_be_bytes(*split)).min(bytes.len());
    let whole = read(bytes);
    let begun = read(&bytes[..split]);
    assert!(begun == whole || begun == Ok(None), "{begun:?} became {whole:?}");
    let Ok(Some(head)) = &whole else {
        return;
    };
    assert!(head.len <= bytes.len());
    assert_eq!(read(&bytes[..head.len]), whole);
    assert_eq!(dripping(bytes, split % 7 + 1).as_ref(), Some(head));
    one_reading_is_possible(head);
    written_afresh_it_is_the_same(head);

    let rest = &bytes[head.len..];
    let body = read_body(head.body.clone(), rest, usize::MAX);
    assert_eq!(read_body(head.body.clone(), rest, split % 7 + 1), body);
});

fn read(bytes: &[u8]) -> Result<Option<Read<'_>>, Refusal> {
    let mut slots = field_slots();
    let head = parse_request(bytes, &mut slots)?;
    Ok(head.map(|head| Read {
        method: head.method,
        target: head.target,
        host: head.host,
        version: head.version,
        fields: head.fields.to_vec(),
        body: head.body,
        expects_continue: head.expects_continue,
        len: head.len,
    }))
}

/// Reads as a connection does whose bytes come a few at a time: the parser is asked when there is the end of
/// a head.
fn dripping(bytes: &[u8], size: usize) -> Option<Read<'_>> {
    let mut scanned = 0;
    for end in (0..=bytes.len()).step_by(size).chain([bytes.len()]) {
        if head_end(&bytes[..end], scanned).is_some() {
            match read(&bytes[..end]) {
                Ok(None) => {}
                Ok(head) => return head,
                Err(error) => panic!("what is a head when it comes whole is {error:?}"),
            }
        }
        scanned = end;
    }
    None
}

/// RFC 9112 §§3.2, 5 and 6.3, strictly, and with `_` for `-` (RFC 3875 §4.1.18).
fn one_reading_is_possible(head: &Read<'_>) {
    let spelled = |name: &str| {
        let is = |f: &&Header<'_>| f.name.to_ascii_lowercase().replace('_', "-") == name;
        head.fields.iter().filter(is).map(|f| f.value).collect::<Vec<_>>()
    };
    let (lengths, codings) = (spelled("content-length"), spelled("transfer-encoding"));
    match &head.body {
        Body::Chunked(_) => {
            assert!(lengths.is_empty() && head.version == Version::Http11);
            assert!(matches!(codings.as_slice(), [one] if one.eq_ignore_ascii_case(b"chunked")));
        }
        Body::Length(length) => {
            assert!(*length > 0 && codings.is_empty());
            assert!(matches!(lengths.as_slice(), [one] if number(one) == Some(*length)));
        }
        Body::Done => {
            assert!(codings.is_empty() && lengths.len() <= 1);
            assert!(lengths.iter().all(|one| number(one) == Some(0)));
        }
        Body::UntilClose => panic!("no request ends with its connection"),
    }
    let hosts = head
        .fields
        .iter()
        .filter(|f| f.name.eq_ignore_ascii_case("host"))
        .count();
    assert!(hosts == 1 || (hosts == 0 && head.version == Version::Http10));
    assert!(
        head.host
            .is_none_or(|h| !h.contains(['@', '/', '?', '#', ' ', '\t']))
    );
    for f in head.fields.iter().filter(|f| f.name.eq_ignore_ascii_case("host")) {
        assert!(f.value.trim_ascii().iter().all(u8::is_ascii_graphic));
    }
    match head.method {
        // It is refused later, and has an authority alone (RFC 9112 §3.2.3).
        "CONNECT" => assert!(!head.target.is_empty() && head.host == Some(head.target)),
        "OPTIONS" if head.target == "*" => {}
        _ => assert!(head.target.starts_with('/')),
    }
    assert!(!head.target.contains([' ', '\r', '\n']));
    let controls = |value: &[u8]| value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0));
    assert!(
        !head
            .fields
            .iter()
            .any(|f| f.name.is_empty() || f.name.contains([' ', ':']) || controls(f.value))
    );
    assert!(!head.expects_continue || head.version == Version::Http11);
}

fn number(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?.trim_matches([' ', '\t']);
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// The next reader sees what this one saw.
fn written_afresh_it_is_the_same(head: &Read<'_>) {
    let version = if head.version == Version::Http10 {
        "1.0"
    } else {
        "1.1"
    };
    let mut out = format!("{} {} HTTP/{version}\r\n", head.method, head.target).into_bytes();
    let is_host = |f: &Header<'_>| f.name.eq_ignore_ascii_case("host");
    let host = head.host.map(|host| Header {
        name: "host",
        value: host.as_bytes(),
    });
    for f in host.iter().chain(head.fields.iter().filter(|f| !is_host(f))) {
        out.extend_from_slice(f.name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(f.value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    let mut again = read(&out).expect("no refusal").expect("a whole head");
    assert_eq!(again.len, out.len());
    again.len = head.len;
    let others = |fields: &[Header<'_>]| {
        fields
            .iter()
            .filter(|f| !is_host(f))
            .copied()
            .map(own)
            .collect::<Vec<_>>()
    };
    assert_eq!(others(&again.fields), others(&head.fields));
    assert_eq!(
        (
            again.method,
            again.target,
            again.host,
            again.version,
            again.body,
            again.expects_continue
        ),
        (
            head.method,
            head.target,
            head.host,
            head.version,
            head.body.clone(),
            head.expects_continue
        )
    );
}

fn own(f: Header<'_>) -> (String, Vec<u8>) {
    (f.name.to_owned(), f.value.to_vec())
}
