//! Request heads, right and wrong.

use super::*;

fn parse(text: &str) -> Result<(String, Option<String>, Body), Refusal> {
    let mut slots = field_slots();
    let head = parse_request(text.as_bytes(), &mut slots)?.expect("a whole head");
    assert_eq!(head.len, text.len());
    Ok((head.target.into(), head.host.map(Into::into), head.body))
}

#[test]
fn each_ambiguity_is_refused_with_its_status() {
    let host = "Host: a\r\n";
    for (lines, refusal) in [
        ("Content-Length: 1\r\nContent-Length: 1\r\n", Refusal::Framing),
        ("Content-Length: 1, 1\r\n", Refusal::Framing),
        ("Content-Length: +1\r\n", Refusal::Framing),
        ("Content-Length: 0x1\r\n", Refusal::Framing),
        ("Content-Length: \r\n", Refusal::Framing),
        ("Content-Length: 99999999999999999999\r\n", Refusal::Framing),
        ("Content_Length: 1\r\n", Refusal::Framing),
        (
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            Refusal::Framing,
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
            Refusal::Framing,
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            Refusal::Framing,
        ),
        ("Transfer-Encoding: xchunked\r\n", Refusal::Framing),
        ("Transfer-Encoding: chunked, identity\r\n", Refusal::Framing),
        ("Transfer-Encoding: \u{b}chunked\r\n", Refusal::Malformed),
        ("Transfer-Encoding: gzip, chunked\r\n", Refusal::Coding),
        ("Transfer_Encoding: chunked\r\n", Refusal::Framing),
        ("Transfer-Encoding : chunked\r\n", Refusal::Malformed),
        ("X: a\r\n b\r\n", Refusal::Malformed),
        ("X: a\n", Refusal::Malformed),
        ("Host: b\r\n", Refusal::Host),
    ] {
        let text = format!("POST / HTTP/1.1\r\n{host}{lines}\r\n");
        assert_eq!(parse(&text).err(), Some(refusal), "{lines}");
    }
    assert_eq!(parse("GET / HTTP/1.1\r\n\r\n").err(), Some(Refusal::Host));
    assert_eq!(
        parse("GET / HTTP/1.1\r\nHost: a b\r\n\r\n").err(),
        Some(Refusal::Host)
    );
    // Whitespace of Unicode is none of HTTP's (RFC 9110 §5.6.3).
    assert_eq!(
        parse("GET / HTTP/1.1\r\nHost: a\u{a0}\r\n\r\n").err(),
        Some(Refusal::Host)
    );
    assert_eq!(
        parse("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n").err(),
        Some(Refusal::Host)
    );
    assert_eq!(
        parse("GET / HTTP/2.0\r\nHost: a\r\n\r\n").err(),
        Some(Refusal::Version)
    );
    assert_eq!(
        parse("CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n").err(),
        Some(Refusal::Target)
    );
    assert_eq!(
        parse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").err(),
        Some(Refusal::Framing)
    );
}

#[test]
fn every_form_of_target_gives_path_and_authority() {
    for (line, target, host) in [
        ("GET /a?b HTTP/1.1", "/a?b", "h"),
        ("GET http://x:1/a?b HTTP/1.1", "/a?b", "x:1"),
        ("GET HTTPS://x HTTP/1.1", "/", "x"),
        ("OPTIONS * HTTP/1.1", "*", "h"),
        ("OPTIONS http://x HTTP/1.1", "*", "x"),
    ] {
        let read = parse(&format!("{line}\r\nHost: h\r\n\r\n")).expect(line);
        assert_eq!(
            (read.0.as_str(), read.1.as_deref()),
            (target, Some(host)),
            "{line}"
        );
    }
    for line in [
        "GET a HTTP/1.1",
        "GET * HTTP/1.1",
        "GET http:///a HTTP/1.1",
        "GET http://u@x/ HTTP/1.1",
    ] {
        assert_eq!(
            parse(&format!("{line}\r\nHost: h\r\n\r\n")).err(),
            Some(Refusal::Target),
            "{line}"
        );
    }
}

#[test]
fn a_tunnel_and_a_strange_expectation_are_understood_and_not_offered() {
    for (text, refusal) in [
        (
            "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
            Some(Refusal::Connect),
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-maybe\r\n\r\n",
            Some(Refusal::Expectation),
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nEXPECT: 100-Continue\r\n\r\n", None),
    ] {
        let mut slots = field_slots();
        let head = parse_request(text.as_bytes(), &mut slots).unwrap().unwrap();
        assert_eq!(not_offered(head.method, head.fields), refusal, "{text}");
    }
}

#[test]
fn http_10_needs_no_host_and_expects_nothing() {
    let mut slots = field_slots();
    let head = parse_request(b"GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", &mut slots)
        .unwrap()
        .unwrap();
    assert_eq!(
        (head.host, head.expects_continue, head.version),
        (None, false, Version::Http10)
    );
}

#[test]
fn the_end_of_a_head_is_found_from_any_point_before_it() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
    for from in 0..head.len() - 4 {
        assert_eq!(head_end(head, from), Some(head.len() - 4), "{from}");
    }
    assert_eq!(head_end(&head[..head.len() - 5], 0), None);
    assert_eq!(head_end(b"a\n\nb", 0), Some(3));
}

#[test]
fn an_unknown_version_is_judged_by_its_whole_line() {
    for (text, refusal) in [
        ("GET / HTTP/2.0\r\n", Refusal::Version),
        ("GET / b HTTP/1.1\r\n", Refusal::Malformed),
        ("\r\nGET / HTTP/9\r\n", Refusal::Malformed),
    ] {
        let mut slots = field_slots();
        for end in 0..text.len() - 1 {
            let begun = parse_request(&text.as_bytes()[..end], &mut slots);
            assert!(matches!(begun, Ok(None)), "{}", &text[..end]);
        }
        let whole = parse_request(text.as_bytes(), &mut slots);
        assert_eq!(whole.err(), Some(refusal), "{text}");
    }
}

#[test]
fn heads_of_many_field_lines_are_read() {
    let lines = "x: y\r\n".repeat(MAX_FIELDS - 1);
    assert!(parse(&format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")).is_ok());
    let response = format!("HTTP/1.1 200 OK\r\n{lines}x: y\r\n\r\n");
    let mut slots = field_slots();
    let head = parse_response(response.as_bytes(), false, &mut slots)
        .unwrap()
        .unwrap();
    assert_eq!(head.fields.len(), MAX_FIELDS);
    let response = format!("HTTP/1.1 200 OK\r\n{lines}x: y\r\nx: y\r\n\r\n");
    let mut slots = field_slots();
    let refused = parse_response(response.as_bytes(), false, &mut slots);
    assert_eq!(refused.err(), Some(BadResponse::TooLarge));
}

#[test]
fn too_many_field_lines_are_too_large() {
    let text = format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "x: y\r\n".repeat(MAX_FIELDS)
    );
    assert_eq!(parse(&text).err(), Some(Refusal::TooLarge));
}
