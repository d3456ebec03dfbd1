//! Lines as servers write them.

use httparse::Header;

use crate::{client::Peer, observe::settings::LineFormat, page::SeenResponse};

/// What was read, in words that can be compared.
#[derive(Debug, Default, PartialEq)]
struct Read {
    at: Option<u64>,
    peer: String,
    request: String,
    host: String,
    fields: Vec<(String, String)>,
    signs: bool,
    response: String,
}

fn read(format: LineFormat, line: &str) -> Option<Read> {
    let parsed = format.parse(line)?;
    Some(parsed.observed(|seen| {
        Read {
            at: parsed.time(),
            peer: match seen.peer {
                Peer::Unix => "unix".to_owned(),
                peer => peer
                    .ip()
                    .map_or_else(|| "unknown".to_owned(), |ip| ip.to_string()),
            },
            request: format!("{} {}", seen.method, seen.target),
            host: format!(
                "{}://{}",
                if seen.arrived.https { "https" } else { "http" },
                seen.arrived.host.unwrap_or_default()
            ),
            fields: seen.fields.iter().map(named).collect(),
            signs: seen.signs,
            response: match seen.response {
                SeenResponse::Nothing => "nothing".to_owned(),
                SeenResponse::Status(status) => status.to_string(),
                SeenResponse::Head(facts) => {
                    let kind = facts.content_type.map_or("none".into(), String::from_utf8_lossy);
                    format!(
                        "{} {kind}{}",
                        facts.status,
                        if facts.attachment { " saved" } else { "" }
                    )
                }
            },
        }
    }))
}

fn named(field: &Header<'_>) -> (String, String) {
    let value = String::from_utf8_lossy(field.value).into_owned();
    (field.name.to_ascii_lowercase(), value)
}

fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
        .collect()
}

/// 2026-11-26T10:00:00Z
const TEN: u64 = 1_795_687_200_000;

#[test]
fn gatecounts_own_json_has_all_of_a_request() {
    let line = r#"{"time": "2026-11-26T10:00:00.250Z", "peer": "10.0.0.9", "method": "GET", "uri": "/a?b=\"c\"",
        "host": "example.com", "scheme": "https", "status": 200, "content_type": "text/html", "bytes": [1, {"a": 2}],
        "headers": {"user-agent": "Mozilla/5.0", "accept": "text/html", "referer": "", "dnt": "-", "x-a": ["1", "2"],
        "sec-fetch-dest": null, "evil": "a\r\nb", "n": 1}}"#;
    let wanted = Read {
        at: Some(TEN + 250),
        peer: "10.0.0.9".into(),
        request: "GET /a?b=\"c\"".into(),
        host: "https://example.com".into(),
        fields: fields(&[
            ("user-agent", "Mozilla/5.0"),
            ("accept", "text/html"),
            ("x-a", "1"),
            ("x-a", "2"),
            ("n", "1"),
        ]),
        signs: true,
        response: "200 text/html".into(),
    };
    assert_eq!(read(LineFormat::Json, line), Some(wanted));
}

#[test]
fn what_a_json_line_lacks_is_not_known() {
    let json = |line| read(LineFormat::Json, line);
    let least = json(r#"{"uri": "/"}"#).unwrap();
    assert_eq!(
        least,
        Read {
            peer: "unknown".into(),
            request: " /".into(),
            host: "http://".into(),
            response: "nothing".into(),
            ..Read::default()
        }
    );
    let response = |line| json(line).unwrap().response;
    assert_eq!(
        response(r#"{"uri": "/", "status": "304", "content_type": ""}"#),
        "304 none"
    );
    assert_eq!(
        response(r#"{"uri": "/", "status": "304", "content_type": "-"}"#),
        "304 none"
    );
    assert_eq!(response(r#"{"uri": "/", "status": 200}"#), "200");
    assert_eq!(response(r#"{"uri": "/", "status": "000"}"#), "nothing");
    assert!(json(r#"{"uri": "/", "headers": {"accept": ""}}"#).unwrap().signs);
    assert!(
        !json(r#"{"uri": "/", "headers": {"user-agent": "a"}}"#)
            .unwrap()
            .signs
    );
    assert_eq!(json(r#"{"uri": "/", "peer": "unix:"}"#).unwrap().peer, "unix");
    let host = json(r#"{"uri": "/", "headers": {"Host": "a.example"}}"#)
        .unwrap()
        .host;
    assert_eq!(host, "http://a.example");
    let absolute = json(r#"{"uri": "HTTP://a.example:80/b?c"}"#).unwrap();
    assert_eq!(absolute.request, " /b?c");
    assert_eq!(
        json(r#"{"uri": "/", "time": 1795687200.5}"#).unwrap().at,
        Some(TEN + 500)
    );
}

#[test]
fn what_is_no_line_of_the_format_is_none() {
    for line in [
        "",
        "nonsense",
        "{}",
        "[]",
        "\"/\"",
        r#"{"uri": ""}"#,
        r#"{"uri": 7}"#,
        r#"{"uri": "/a b"}"#,
        r#"{"uri": "/a\u0000"}"#,
        r#"{"uri": "/"} {"uri": "/"}"#,
        r#"{"uri": "/""#,
        r#"{"uri": "/", "headers": "none"}"#,
        "1.2.3.4 - - [26/Nov/2026:10:00:00 +0000] \"GET /a HTTP/1.1\" 200 1",
        "1.2.3.4 - - [then] \"GET /a HTTP/1.1\" 200 1 \"-\" \"-\"",
        "1.2.3.4 - - [26/Nov/2026:10:00:00 +0000] \"GET /a HTTP/1.1\" 200 1 \"-\" \"cut",
        "1.2.3.4 - - [26/Nov/2026:10:00:00 +0000] \"GET /a HTTP/1.1\\",
        "\u{0}\u{1}\u{fffd}",
    ] {
        for (name, format) in LineFormat::NAMED {
            assert_eq!(read(format, line), None, "{name}: {line}");
        }
    }
}

#[test]
fn a_combined_line_has_no_signs() {
    let line = r#"203.0.113.7 - frank [26/Nov/2026:11:00:00 +0100] "GET /a?b=c HTTP/1.1" 200 2326 "http://a.example/" "Mozilla/5.0 (X11)""#;
    let wanted = Read {
        at: Some(TEN),
        peer: "203.0.113.7".into(),
        request: "GET /a?b=c".into(),
        host: "http://".into(),
        fields: fields(&[
            ("referer", "http://a.example/"),
            ("user-agent", "Mozilla/5.0 (X11)"),
        ]),
        response: "200".into(),
        ..Read::default()
    };
    assert_eq!(read(LineFormat::Combined, line), Some(wanted));
}

#[test]
fn a_combined_line_has_escapes_and_may_have_more_fields() {
    let combined = |line| read(LineFormat::Combined, line).unwrap();
    let at = "10.0.0.1 - - [26/Nov/2026:10:00:00 +0000]";
    let main =
        format!(r#"{at} "GET /caf\xC3\xA9 HTTP/2.0" 304 0 "-" "a \x22b\x22 \"c\"" "198.51.100.4, 10.0.0.2""#);
    let main = combined(&main);
    assert_eq!(main.request, "GET /caf\u{e9}");
    assert_eq!(
        main.fields,
        fields(&[
            ("user-agent", "a \"b\" \"c\""),
            ("x-forwarded-for", "198.51.100.4, 10.0.0.2")
        ])
    );
    let traefik = format!(r#"{at} "GET / HTTP/1.1" 200 5 "-" "a" 12 "router" "http://10.0.0.3" 3ms"#);
    let traefik = combined(&traefik);
    assert_eq!(traefik.fields, fields(&[("user-agent", "a")]));
    let rubbish = format!(r#"{at} "\x16\x03\x01" 400 150 "-" "-""#);
    let rubbish = combined(&rubbish);
    assert_eq!(
        (rubbish.request.as_str(), rubbish.response.as_str()),
        (" ", "400")
    );
}

#[test]
fn caddys_line_has_every_field() {
    let line = r#"{"level":"info","ts":1795687200.5241024,"logger":"http.log.access.log0","msg":"handled request",
        "request":{"remote_ip":"203.0.113.7","remote_port":"41342","client_ip":"203.0.113.7","proto":"HTTP/2.0",
        "method":"GET","host":"example.com","uri":"/a?b","headers":{"User-Agent":["Mozilla/5.0"],"Accept":["text/html"],
        "Cookie":["REDACTED"]},"tls":{"resumed":false,"version":772,"cipher_suite":4865,"proto":"h2","server_name":"example.com"}},
        "bytes_read":0,"user_id":"","duration":0.000929675,"size":10900,"status":200,
        "resp_headers":{"Server":["Caddy"],"Content-Type":["text/html; charset=utf-8"],"Content-Disposition":["Attachment; filename=a"]}}"#;
    let wanted = Read {
        at: Some(TEN + 524),
        peer: "203.0.113.7".into(),
        request: "GET /a?b".into(),
        host: "https://example.com".into(),
        fields: fields(&[
            ("user-agent", "Mozilla/5.0"),
            ("accept", "text/html"),
            ("cookie", "REDACTED"),
        ]),
        signs: true,
        response: "200 text/html; charset=utf-8 saved".into(),
    };
    assert_eq!(read(LineFormat::Caddy, line), Some(wanted));
    let error = r#"{"ts":"2026-11-26T10:00:00Z","request":{"remote_addr":"[::1]:1","method":"GET","host":"a","uri":"/","headers":{}},
        "status":304,"resp_headers":{}}"#;
    let error = read(LineFormat::Caddy, error).unwrap();
    assert_eq!(
        (error.at, error.peer.as_str(), error.signs),
        (Some(TEN), "::1", true)
    );
    assert_eq!(error.response, "304 none");
}

#[test]
fn traefiks_line_has_the_fields_that_it_is_told_to_keep() {
    let line = r#"{"ClientAddr":"10.0.0.9:41234","ClientHost":"203.0.113.7","ClientPort":"41234","DownstreamStatus":200,
        "RequestAddr":"example.com","RequestHost":"example.com","RequestMethod":"GET","RequestPath":"/a?b=c",
        "RequestScheme":"https","StartUTC":"2026-11-26T10:00:00.123456789Z","downstream_Content-Type":"text/html",
        "request_User-Agent":"Mozilla/5.0","request_Accept":"text/html","level":"info","msg":"","time":"2026-11-26T10:00:01Z"}"#;
    let wanted = Read {
        at: Some(TEN + 123),
        peer: "10.0.0.9".into(),
        request: "GET /a?b=c".into(),
        host: "https://example.com".into(),
        fields: fields(&[
            ("user-agent", "Mozilla/5.0"),
            ("accept", "text/html"),
            ("x-forwarded-for", "203.0.113.7"),
        ]),
        signs: true,
        response: "200 text/html".into(),
    };
    assert_eq!(read(LineFormat::Traefik, line), Some(wanted));
    let bare = r#"{"ClientAddr":"10.0.0.9:1","ClientHost":"10.0.0.9","DownstreamStatus":404,"RequestMethod":"GET","RequestPath":"/"}"#;
    let bare = read(LineFormat::Traefik, bare).unwrap();
    assert_eq!(
        (bare.fields, bare.signs, bare.response.as_str()),
        (Vec::new(), false, "404")
    );
}
