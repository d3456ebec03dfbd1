//! Requests for the app in all their forms.

use super::{Case, Upload, case, page, path, response};
use crate::support::client::{FETCH, NAVIGATION, Request};

/// Each method with each kind of body.
pub(super) fn methods() -> Vec<Case> {
    let trailers = vec![
        ("X-Sum".to_owned(), "12ab".to_owned()),
        ("x-more".to_owned(), "b".to_owned()),
    ];
    let uploads = [
        ("none", Upload::None),
        ("length", Upload::Length(b"name=value&empty=".to_vec())),
        ("empty length", Upload::Length(Vec::new())),
        (
            "unknown length",
            Upload::Chunked(vec![b"first".to_vec(), vec![0; 40_000]], Vec::new()),
        ),
        ("unknown and empty", Upload::Chunked(Vec::new(), Vec::new())),
        ("trailers", Upload::Chunked(vec![b"data".to_vec()], trailers)),
    ];
    let mut cases = Vec::new();
    for method in [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "m-search",
    ] {
        for (kind, upload) in &uploads {
            let request = Request::new(method, &format!("/{method}")).as_(FETCH);
            let answer = response(
                method,
                "200 OK",
                "Content-Type: application/json\r\n",
                "{\"fine\":true}",
            );
            cases.push(
                case(format!("{method} {kind}"), request)
                    .upload(upload.clone())
                    .answered(answer),
            );
        }
    }
    cases
}

/// Targets with all that may stand in one.
pub(super) fn targets() -> Vec<Case> {
    [
        "/",
        "//",
        "/a//b",
        "/./a/../b",
        "/%2e%2e/%2F",
        "/%",
        "/%zz",
        "/a%00b",
        "/%C3%BC",
        "/a;b=c,d",
        "/a:b@c",
        "/!$&'()*+,;=",
        "/a|b",
        "/a^b",
        "/a[b]",
        "/~user/_-.",
        "/a?",
        "/?",
        "/??",
        "/?a=b&a=c&&=",
        "/?q=a+b%20c",
        "/?a=%E2%82%AC",
        "/?a[]=1&a[]=2",
        "/?url=https://example.org/?x=y",
        "/a?b?c/d",
        "/?%",
        "/?utm_source=x&ref=y",
        "/?ref=%3Cscript%3E",
        "/http://example.org/",
        "/*",
        "/index.html?gclid=1",
        "/a/b/c.d.e/",
        "/?a={b}|c",
    ]
    .into_iter()
    .map(|target| case(format!("target {target}"), Request::get(target).as_(NAVIGATION)))
    .chain([
        case(
            "a long path",
            Request::get(&format!("/{}", "long/".repeat(1500))).as_(FETCH),
        ),
        case(
            "a long query",
            Request::get(&format!("/?q={}", "ab%20".repeat(1500))).as_(FETCH),
        ),
        case(
            "a host with a port",
            Request::get("/with-port")
                .host("example.com:8443")
                .as_(NAVIGATION),
        ),
        case(
            "a host in capitals",
            Request::get("/capitals").host("EXAMPLE.com").as_(NAVIGATION),
        ),
        case(
            "an address as host",
            Request::get("/address").host("[2001:db8::1]:81").as_(NAVIGATION),
        ),
    ])
    .collect()
}

pub(super) fn cookies() -> Vec<Case> {
    let lines: [(&str, &[&str]); 7] = [
        ("one", &["a=1"]),
        ("one line of several", &["a=1; b=2; c=\"three\""]),
        ("crumbs", &["a=1", "b=2", "c=3"]),
        ("crumbs and lists", &["a=1; b=2", "c=3; d=4"]),
        ("an empty one", &[""]),
        ("odd ones", &["a=b=c==; __Host-x=%20; y"]),
        ("Latin-1", &["n=M\u{fc}ller"]),
    ];
    let cookie = |(id, lines): (&str, &[&str])| {
        let mut request = Request::get(&path(id)).as_(NAVIGATION);
        for line in lines {
            request = request.with("Cookie", line);
        }
        case(format!("cookies: {id}"), request)
    };
    lines.map(cookie).into()
}

pub(super) fn request_fields() -> Vec<Case> {
    let sets: [(&str, &[(&str, &str)]); 12] = [
        ("Latin-1", &[("X-Name", "M\u{fc}ller \u{e9}")]),
        ("an empty value", &[("X-Empty", "")]),
        (
            "a name twice",
            &[("X-Twice", "1"), ("x-twice", "2"), ("X-TWICE", "1")],
        ),
        ("underscores", &[("x_under_score", "1"), ("X-Under-Score", "2")]),
        ("odd names", &[("x!#$%&'*+.^`|~9", "1")]),
        (
            "gatecount's own",
            &[
                ("Gatecount-Event", "{\"name\":\"Forged\"}"),
                ("Gatecount-Page", "off"),
            ],
        ),
        ("gatecount's own with underscores", &[("gatecount_page", "off")]),
        (
            "an origin",
            &[
                ("Origin", "https://example.com"),
                ("Access-Control-Request-Method", "PUT"),
            ],
        ),
        ("credentials", &[("Authorization", "Basic YTpi")]),
        ("a priority", &[("Priority", "u=1, i"), ("Save-Data", "on")]),
        ("early data", &[("Early-Data", "1")]),
        ("quotes and tabs", &[("X-Quoted", "\"a\tb\" , (c) \\ d")]),
    ];
    sets.into_iter()
        .map(|(id, fields)| {
            let request = Request::get(&path(id)).as_(NAVIGATION).as_(fields);
            case(format!("request with {id}"), request)
        })
        .collect()
}

pub(super) fn sizes() -> Vec<Case> {
    let many = |count: usize| {
        (0..count).fold(Request::get("/many").as_(NAVIGATION), |request, n| {
            request.with(&format!("X-Many-{n}"), "value")
        })
    };
    let long = |length: usize| {
        Request::get("/long")
            .as_(NAVIGATION)
            .with("X-Long", &"v".repeat(length))
    };
    let fields: Vec<String> = (0..100)
        .map(|n| format!("X-Answer-{n}: {}\r\n", "v".repeat(n)))
        .collect();
    let fields = fields.concat();
    vec![
        case("a field of 8 KiB", long(8 * 1024)),
        case("a field of 40 KiB", long(40 * 1024)),
        case("a hundred fields", many(100)),
        case("a head of more than 64 KiB", long(70 * 1024)),
        page("a response of a hundred fields").answered(response("GET", "200 OK", &fields, "abc")),
        page("a response's field of 30 KiB").answered(response(
            "GET",
            "200 OK",
            &format!("X-Long: {}\r\n", "v".repeat(30_000)),
            "abc",
        )),
        case("a body of 1 MiB", Request::new("POST", "/upload").as_(FETCH))
            .upload(Upload::Length(vec![b'b'; 1 << 20])),
        case(
            "a body of 1 MiB in pieces",
            Request::new("PUT", "/upload").as_(FETCH),
        )
        .upload(Upload::Chunked(vec![vec![b'c'; 1 << 16]; 16], Vec::new())),
    ]
}

/// `WebSocket`s, where the app agrees and where it does not.
pub(super) fn upgrades() -> Vec<Case> {
    let websocket = |id: &str, fields: &[(&str, &str)]| {
        let request = Request::get(&format!("{}?room=7", path(id)))
            .with("Connection", "Upgrade")
            .with("Upgrade", "websocket")
            .with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .with("Sec-WebSocket-Version", "13");
        let mut case = case(format!("websocket: {id}"), request.as_(fields));
        case.tunnelled = b"\x81\x05hello".to_vec();
        case.script.switches = true;
        case
    };
    let mut refused = websocket("refused", &[]);
    refused.script.switches = false;
    refused.script.answer = response("GET", "403 Forbidden", "", "no sockets").into();
    let mut behind = websocket("from a proxy", &[("X-Forwarded-For", "203.0.113.7")]).behind_proxy();
    behind.tunnelled = vec![b'w'; 200_000];
    vec![
        websocket("plain", &[]),
        websocket(
            "with a protocol",
            &[
                ("Sec-WebSocket-Protocol", "chat, superchat"),
                ("Origin", "https://example.com"),
            ],
        ),
        websocket("with cookies", &[("Cookie", "a=1; b=2")]),
        behind,
        refused,
    ]
}
