//! What the app says, right and wrong.

use super::{Case, PAGE, Upload, case, page, path, response};
use crate::support::client::{FETCH, NAVIGATION, Request};

/// Each status, to a page view and to a HEAD.
pub(super) fn statuses() -> Vec<Case> {
    let mut cases = Vec::new();
    for status in [
        "200 OK",
        "200 ",
        "200 Sure Thing",
        "201 Created",
        "202 Accepted",
        "203 Non-Authoritative Information",
        "204 No Content",
        "206 Partial Content",
        "207 Multi-Status",
        "226 IM Used",
        "300 Multiple Choices",
        "301 Moved Permanently",
        "302 Found",
        "303 See Other",
        "304 Not Modified",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
        "400 Bad Request",
        "401 Unauthorized",
        "403 Forbidden",
        "404 Not Found",
        "405 Method Not Allowed",
        "409 Conflict",
        "410 Gone",
        "413 Content Too Large",
        "418 I'm a Teapot",
        "429 Too Many Requests",
        "451 Unavailable",
        "500 Oh Dear",
        "502 Bad Gateway",
        "503 Service Unavailable",
        "504 Gateway Timeout",
        "599 Whatever",
    ] {
        for method in ["GET", "HEAD"] {
            let id = format!("{method} to {status:?}");
            let request = Request::new(method, &path(&id)).as_(NAVIGATION);
            let fields =
                "Content-Type: text/html\r\nLocation: /elsewhere\r\nETag: \"a\"\r\nRetry-After: 9\r\n";
            cases.push(case(id, request).answered(response(method, status, fields, "<title>Hm</title>")));
        }
    }
    cases
}

/// Each way in which a response can end, also before its end.
pub(super) fn framings() -> Vec<Case> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    let long = format!("{:x}\r\n{}\r\n", 100_000, "x".repeat(100_000));
    let whole = [
        (
            "an empty one with a length",
            format!("{head}Content-Length: 0\r\n\r\n"),
        ),
        (
            "chunked",
            format!("{head}{chunked}5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n"),
        ),
        ("chunked and empty", format!("{head}{chunked}0\r\n\r\n")),
        (
            "chunked and long",
            format!("{head}{chunked}{long}{long}0\r\n\r\n"),
        ),
        (
            "trailers",
            format!(
                "{head}Trailer: X-Sum\r\n{chunked}4\r\ndata\r\n0\r\nX-Sum: 9\r\nServer-Timing: a\r\n\r\n"
            ),
        ),
        (
            "trailers without a body",
            format!("{head}{chunked}0\r\nX-Sum: 0\r\n\r\n"),
        ),
        (
            "forbidden trailers",
            format!("{head}{chunked}1\r\na\r\n0\r\nSet-Cookie: a=b\r\nContent-Length: 3\r\n\r\n"),
        ),
        (
            "extensions",
            format!("{head}{chunked}3;name=value\r\nabc\r\n0;last\r\n\r\n"),
        ),
        (
            "a long one",
            format!("{head}Content-Length: 300000\r\n\r\n{}", "long ".repeat(60_000)),
        ),
    ];
    let ends = [
        (
            "until the close",
            format!("{head}\r\n<title>All there is</title>"),
        ),
        ("until the close, empty", format!("{head}\r\n")),
        (
            "of HTTP/1.0",
            format!("{}\r\n<title>Old</title>", head.replace("1.1", "1.0")),
        ),
        (
            "cut within its length",
            format!("{head}Content-Length: 50\r\n\r\n<title>Cut"),
        ),
        ("cut before its data", format!("{head}Content-Length: 50\r\n\r\n")),
        ("cut within a chunk", format!("{head}{chunked}20\r\nonly so much")),
        ("cut between chunks", format!("{head}{chunked}5\r\nfirst\r\n")),
        (
            "cut within the trailers",
            format!("{head}{chunked}5\r\nfirst\r\n0\r\nX-Sum: 9\r\n"),
        ),
        ("cut within its head", "HTTP/1.1 200 OK\r\nContent-Ty".to_owned()),
        ("no head at all", String::new()),
        ("no HTTP", "220 mail.example.com ESMTP\r\n\r\n".to_owned()),
        ("a bad chunk", format!("{head}{chunked}zz\r\n")),
        (
            "two lengths",
            format!("{head}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
        ),
        (
            "a length and chunks",
            format!("{head}Content-Length: 3\r\n{chunked}3\r\nabc\r\n0\r\n\r\n"),
        ),
    ];
    let whole = whole
        .into_iter()
        .map(|(id, answer)| page(format!("response: {id}")).answered(answer));
    // A POST, for a GET would be sent again where no byte of an answer came.
    let ends = ends.into_iter().map(|(id, answer)| {
        let request = Request::new("POST", &path(id)).as_(FETCH);
        case(format!("response: {id}"), request)
            .upload(Upload::Length(b"a=b".to_vec()))
            .answered(answer)
            .closed()
    });
    whole.chain(ends).collect()
}

pub(super) fn interim() -> Vec<Case> {
    let hints =
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nlink: </b.js>; rel=preload\r\n\r\n";
    let post = |id: &str| {
        case(
            id,
            Request::new("POST", "/expecting").with("Expect", "100-continue"),
        )
        .upload(Upload::Length(b"patience".to_vec()))
    };
    vec![
        page("interim: early hints").answered(format!("{hints}{PAGE}")),
        page("interim: several").answered(format!("HTTP/1.1 102 Processing\r\n\r\n{hints}{hints}{PAGE}")),
        page("interim: with a hop's field").answered(format!(
            "HTTP/1.1 103 Early Hints\r\nConnection: X-A\r\nX-A: 1\r\nX-B: 2\r\n\r\n{PAGE}"
        )),
        post("interim: 100").answered(format!("HTTP/1.1 100 Continue\r\n\r\n{PAGE}")),
        post("interim: an expected 100 that does not come"),
    ]
}

pub(super) fn response_fields() -> Vec<Case> {
    [
        (
            "cookies",
            "Set-Cookie: a=1; Path=/\r\nset-cookie: b=2; HttpOnly\r\nX-Between: 1\r\nSet-Cookie: c=3\r\n",
        ),
        ("Latin-1", "X-Name: M\u{fc}ller\r\n"),
        ("an empty value", "X-Empty:\r\n"),
        ("a name twice", "X-Twice: 1\r\nX-TWICE: 2\r\n"),
        (
            "security",
            "Strict-Transport-Security: max-age=9\r\nContent-Security-Policy: default-src 'self'\r\n",
        ),
        (
            "a server",
            "Server: nginx\r\nX-Powered-By: Express\r\nVia: 1.1 app\r\n",
        ),
        ("another protocol", "Alt-Svc: h3=\":443\"\r\n"),
        ("odd names", "x!#$%&'*+.^`|~9: 1\r\nx_y: 2\r\n"),
        (
            "languages",
            "Content-Language: de, en\r\nContent-Encoding: identity\r\nVary: Accept\r\n",
        ),
    ]
    .into_iter()
    .map(|(id, fields)| {
        let answer = response(
            "GET",
            "200 OK",
            &format!("Content-Type: text/html\r\n{fields}"),
            "<title>A</title>",
        );
        // In Latin-1.
        let bytes: Vec<u8> = answer.chars().map(|c| c as u8).collect();
        page(format!("response with {id}")).answered(bytes)
    })
    .collect()
}

/// What gatecount answers in the app's place.
pub(super) fn refused() -> Vec<Case> {
    let mut cases = Vec::new();
    for method in ["GET", "HEAD", "POST"] {
        let id = format!("an unknown expectation of {method}");
        let request = Request::new(method, &path(&id)).with("Expect", "a-miracle");
        cases.push(case(id, request));
        let id = format!("no HTTP to {method}");
        let request = Request::new(method, &path(&id)).as_(NAVIGATION);
        cases.push(
            case(id, request)
                .answered("220 mail.example.com ESMTP\r\n\r\n")
                .closed(),
        );
    }
    cases
}

/// What the app says to gatecount.
pub(super) fn declared() -> Vec<Case> {
    [
        (
            "an event",
            "Gatecount-Event: {\"name\":\"Signup\",\"props\":{\"plan\":\"pro\"}}\r\n",
        ),
        (
            "two events",
            "Gatecount-Event: {\"name\":\"A\"}\r\nGatecount-Event: {\"name\":\"B\"}\r\n",
        ),
        ("no page", "Gatecount-Page: off\r\n"),
        (
            "another page",
            "Gatecount-Page: {\"url\":\"https://example.com/other\"}\r\n",
        ),
        ("nonsense", "Gatecount-Event: nonsense\r\nGatecount-Other: 1\r\n"),
    ]
    .into_iter()
    .map(|(id, fields)| {
        let answer = response(
            "GET",
            "200 OK",
            &format!("Content-Type: text/html\r\n{fields}"),
            "<title>A</title>",
        );
        page(format!("the app declares {id}")).answered(answer)
    })
    .collect()
}
