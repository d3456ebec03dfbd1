//! The requests, and what the app says to each.

use std::{collections::HashMap, sync::Arc};

use super::Fields;
use crate::support::{
    client::{FETCH, FIREFOX, GOOGLEBOT, IFRAME, IMAGE, NAVIGATION, OLD_NAVIGATION, PREFETCH, Request},
    message::Head,
    origin::Then,
};

/// One request with its answer.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) id: String,
    pub(super) visitor: Visitor,
    /// Its head, without what says how long the body is where that is not said.
    pub(super) request: Request,
    pub(super) upload: Upload,
    pub(super) script: Script,
    /// What is sent through the tunnel of a WebSocket, and comes back.
    pub(super) tunnelled: Vec<u8>,
}

/// What the app does with a request that it has read.
#[derive(Debug, Clone)]
pub(super) struct Script {
    /// Its bytes.
    pub(super) answer: Vec<u8>,
    pub(super) then: Then,
    /// It agrees to an upgrade, and echoes.
    pub(super) switches: bool,
}

/// From where a request comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Visitor {
    /// From an address that nobody trusts to name the client.
    Direct,
    /// From a proxy that is trusted.
    BehindProxy,
}

/// A request's body.
#[derive(Debug, Clone)]
pub(super) enum Upload {
    None,
    /// Its length is said beforehand.
    Length(Vec<u8>),
    /// It ends by itself: pieces, and trailers.
    Chunked(Vec<Vec<u8>>, Fields),
}

/// All of them.
#[derive(Clone)]
pub(super) struct Cases {
    pub(super) all: Vec<Case>,
    scripts: Arc<HashMap<String, Script>>,
}

/// How the path of the request ends of which a trusted proxy says that it came over http.
pub(super) const SAID_TO_BE_HTTP: &str = "/a-proxy-says-http";

const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 15\r\n\r\n\
                    <title>A</title";

impl Visitor {
    pub(super) fn address(self) -> &'static str {
        match self {
            Visitor::Direct => "127.0.0.1",
            Visitor::BehindProxy => "127.0.0.2",
        }
    }
}

impl Case {
    /// The request in HTTP/1.1.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let request = self.request.clone();
        match &self.upload {
            Upload::None => request.bytes(),
            Upload::Length(body) => [request.bytes(), body.clone()].concat(),
            Upload::Chunked(pieces, trailers) => {
                let mut bytes = request.with("Transfer-Encoding", "chunked").bytes();
                for piece in pieces {
                    bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
                    bytes.extend(piece);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"0\r\n");
                for (name, value) in trailers {
                    bytes.extend(format!("{name}: {value}\r\n").bytes());
                }
                bytes.extend(b"\r\n");
                bytes
            }
        }
    }

    fn behind_proxy(mut self) -> Case {
        self.visitor = Visitor::BehindProxy;
        self
    }

    fn upload(mut self, upload: Upload) -> Case {
        if let Upload::Length(body) = &upload {
            self.request = self.request.with("Content-Length", &body.len().to_string());
        }
        self.upload = upload;
        self
    }

    /// The app answers with these bytes and keeps its connection.
    fn answered(mut self, bytes: impl Into<Vec<u8>>) -> Case {
        self.script.answer = bytes.into();
        self
    }

    /// The app closes its connection behind the answer.
    fn closed(mut self) -> Case {
        self.script.then = Then::Close;
        self
    }
}

impl Cases {
    pub(super) fn new() -> Cases {
        let mut all = Vec::new();
        for group in [
            methods,
            targets,
            cookies,
            statuses,
            framings,
            interim,
            navigations,
            forwarding,
            connection_options,
            sizes,
            ranges,
            request_fields,
            response_fields,
            upgrades,
            refused,
            declared,
        ] {
            all.extend(group());
        }
        let scripts = all
            .iter()
            .map(|case: &Case| (case.id.clone(), case.script.clone()))
            .collect();
        Cases {
            all,
            scripts: Arc::new(scripts),
        }
    }

    /// What the app does with this request.
    #[track_caller]
    pub(super) fn of(&self, head: &Head) -> Script {
        let id = head.get("x-case").expect("a case's request");
        self.scripts[id].clone()
    }
}

fn case(id: impl Into<String>, request: Request) -> Case {
    let id = id.into();
    Case {
        request: request.with("X-Case", &id),
        id,
        visitor: Visitor::Direct,
        upload: Upload::None,
        script: Script {
            answer: PAGE.into(),
            then: Then::Keep,
            switches: false,
        },
        tunnelled: Vec::new(),
    }
}

/// A page view by a visitor of its own.
fn page(id: impl Into<String>) -> Case {
    let id = id.into();
    case(id.clone(), Request::get(&path(&id)).as_(NAVIGATION))
}

/// A path of its own.
fn path(id: &str) -> String {
    format!("/{}", id.replace(|c: char| !c.is_ascii_alphanumeric(), "-"))
}

/// A response to this method: the body is left out where there is none.
fn response(method: &str, status: &str, fields: &str, body: &str) -> String {
    let code = &status[..3];
    let bare = method == "HEAD" || code == "204" || code == "304";
    let length = match code {
        "204" | "304" => String::new(),
        _ => format!("Content-Length: {}\r\n", body.len()),
    };
    format!(
        "HTTP/1.1 {status}\r\n{fields}{length}\r\n{}",
        if bare { "" } else { body }
    )
}

/// Each method with each kind of body.
fn methods() -> Vec<Case> {
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
fn targets() -> Vec<Case> {
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

fn cookies() -> Vec<Case> {
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

/// Each status, to a page view and to a HEAD.
fn statuses() -> Vec<Case> {
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
fn framings() -> Vec<Case> {
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

fn interim() -> Vec<Case> {
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

/// Requests of browsers and others for what is a page, or is none.
fn navigations() -> Vec<Case> {
    let html = PAGE;
    let soft = |extra: &[(&'static str, &'static str)]| [FETCH, extra].concat();
    let navigation = |extra: &[(&'static str, &'static str)]| [NAVIGATION, extra].concat();
    let askers: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("a click", NAVIGATION.to_vec()),
        ("an old browser", OLD_NAVIGATION.to_vec()),
        (
            "Firefox",
            vec![
                ("User-Agent", FIREFOX),
                ("Accept", "text/html"),
                ("Sec-Fetch-Mode", "navigate"),
                ("Sec-Fetch-Dest", "document"),
            ],
        ),
        ("a picture", IMAGE.to_vec()),
        ("a frame", IFRAME.to_vec()),
        ("a fetch", FETCH.to_vec()),
        ("a prefetch", PREFETCH.to_vec()),
        ("a crawler", GOOGLEBOT.to_vec()),
        ("no user agent", vec![("Accept", "text/html")]),
        ("curl", vec![("User-Agent", "curl/8.5.0"), ("Accept", "*/*")]),
        (
            "Turbo",
            soft(&[("Turbo-Frame", "main"), ("X-Turbo-Request-Id", "1")]),
        ),
        ("htmx", soft(&[("HX-Request", "true"), ("HX-Boosted", "true")])),
        (
            "Inertia",
            soft(&[("X-Inertia", "true"), ("X-Requested-With", "XMLHttpRequest")]),
        ),
        ("Next.js", soft(&[("RSC", "1"), ("Next-Url", "/a")])),
        (
            "a referrer",
            navigation(&[("Referer", "https://news.example.org/item?id=7")]),
        ),
        (
            "a reload",
            navigation(&[("Cache-Control", "max-age=0"), ("If-None-Match", "\"a\"")]),
        ),
        ("an objection", navigation(&[("Sec-GPC", "1"), ("DNT", "1")])),
        (
            "a preview",
            navigation(&[("Purpose", "preview"), ("X-Purpose", "preview")]),
        ),
        ("a range", navigation(&[("Range", "bytes=0-99")])),
    ];
    let answers = [
        ("a page", html.to_owned()),
        (
            "JSON",
            response("GET", "200 OK", "Content-Type: application/json\r\n", "{}"),
        ),
        (
            "a page in JSON",
            response(
                "GET",
                "200 OK",
                "X-Inertia: true\r\nVary: X-Inertia\r\nContent-Type: application/json\r\n",
                "{\"component\":\"a\"}",
            ),
        ),
        (
            "a download",
            response(
                "GET",
                "200 OK",
                "Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n",
                "%PDF",
            ),
        ),
    ];
    let mut cases = Vec::new();
    for (asker, fields) in &askers {
        for (kind, answer) in &answers {
            let id = format!("{asker} gets {kind}");
            let request = Request::get(&path(&id)).as_(fields);
            cases.push(case(id, request).answered(answer.clone()));
        }
    }
    cases
}

/// What is said of the client, by a proxy that is trusted and by somebody who is not.
fn forwarding() -> Vec<Case> {
    let sets: [(&str, &[(&str, &str)]); 16] = [
        ("nothing", &[]),
        ("one address", &[("X-Forwarded-For", "203.0.113.7")]),
        ("a chain", &[("X-Forwarded-For", "203.0.113.7, 127.0.0.2")]),
        (
            "two lines",
            &[
                ("X-Forwarded-For", "203.0.113.7"),
                ("X-Forwarded-For", "198.51.100.9"),
            ],
        ),
        ("IPv6", &[("X-Forwarded-For", "2001:db8::7")]),
        ("IPv6 with a port", &[("X-Forwarded-For", "[2001:db8::7]:4711")]),
        ("nonsense", &[("X-Forwarded-For", "unknown, nonsense")]),
        ("an empty line", &[("X-Forwarded-For", "")]),
        ("a real address", &[("X-Real-IP", "203.0.113.8")]),
        (
            "https",
            &[("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Proto", "https")],
        ),
        (
            "http",
            &[
                ("X-Forwarded-For", "203.0.113.7"),
                ("X-Forwarded-Proto", "http"),
                ("X-Forwarded-Port", "81"),
            ],
        ),
        (
            "host and port",
            &[
                ("X-Forwarded-For", "203.0.113.7"),
                ("X-Forwarded-Host", "example.com"),
                ("X-Forwarded-Port", "444"),
            ],
        ),
        (
            "Forwarded",
            &[("Forwarded", "for=203.0.113.7;proto=https;host=example.com")],
        ),
        (
            "Forwarded twice",
            &[("Forwarded", "for=\"[2001:db8::7]:4711\", for=127.0.0.2")],
        ),
        (
            "underscores",
            &[
                ("X_Forwarded_For", "203.0.113.66"),
                ("X-Forwarded-Prefix", "/under"),
            ],
        ),
        (
            "more",
            &[
                ("Via", "1.1 other"),
                ("CF-Connecting-IP", "203.0.113.9"),
                (
                    "traceparent",
                    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                ),
            ],
        ),
    ];
    let mut cases = Vec::new();
    for (what, fields) in sets {
        let by = |whom: &str| {
            let id = format!("{whom} says {what}");
            case(id.clone(), Request::get(&path(&id)).as_(NAVIGATION).as_(fields))
        };
        cases.push(by("anybody"));
        cases.push(by("a proxy").behind_proxy());
    }
    cases
}

/// Fields that `Connection` names, in requests and in responses.
fn connection_options() -> Vec<Case> {
    let requests: [&[(&str, &str)]; 7] = [
        &[("Connection", "keep-alive"), ("Keep-Alive", "timeout=5")],
        &[
            ("Connection", "X-A, x-b"),
            ("X-A", "1"),
            ("X-B", "2"),
            ("X-C", "3"),
        ],
        &[
            ("Connection", "X-A"),
            ("Connection", "X-B"),
            ("X-A", "1"),
            ("X-B", "2"),
        ],
        &[("Connection", "close")],
        &[("TE", "trailers"), ("Connection", "TE")],
        &[("Proxy-Connection", "keep-alive")],
        &[("Connection", ","), ("Proxy-Authorization", "Basic YTpi")],
    ];
    let responses = [
        "Connection: X-A\r\nX-A: 1\r\nX-B: 2\r\n",
        "Connection: keep-alive\r\nKeep-Alive: timeout=5, max=100\r\n",
        "Connection: close\r\n",
        "Proxy-Connection: close\r\nProxy-Authenticate: Basic\r\nUpgrade: websocket\r\n",
        "Connection: Content-Type\r\nX-B: 2\r\n",
    ];
    let asks = requests.iter().enumerate().map(|(n, fields)| {
        let request = Request::get(&format!("/options/{n}")).as_(NAVIGATION).as_(fields);
        case(format!("options {n}"), request)
    });
    let answers = responses.iter().enumerate().map(|(n, fields)| {
        let fields = format!("Content-Type: text/html\r\n{fields}");
        let case =
            page(format!("options of a response {n}")).answered(response("GET", "200 OK", &fields, "abc"));
        if fields.contains("close") {
            case.closed()
        } else {
            case
        }
    });
    asks.chain(answers).collect()
}

fn sizes() -> Vec<Case> {
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
    let fields: String = (0..100)
        .map(|n| format!("X-Answer-{n}: {}\r\n", "v".repeat(n)))
        .collect();
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

fn ranges() -> Vec<Case> {
    let ranged = |id: &str, range: &str, answer: String| {
        let request = Request::get("/file.zip").as_(IMAGE).with("Range", range);
        case(format!("range: {id}"), request).answered(answer)
    };
    let parts = "--b\r\nContent-Range: bytes 0-0/5\r\n\r\na\r\n--b--\r\n";
    vec![
        ranged(
            "a part",
            "bytes=1-3",
            response(
                "GET",
                "206 Partial Content",
                "Content-Range: bytes 1-3/5\r\nAccept-Ranges: bytes\r\n",
                "bcd",
            ),
        ),
        ranged(
            "several",
            "bytes=0-0,4-",
            response(
                "GET",
                "206 Partial Content",
                "Content-Type: multipart/byteranges; boundary=b\r\n",
                parts,
            ),
        ),
        ranged(
            "none",
            "bytes=9-",
            response(
                "GET",
                "416 Range Not Satisfiable",
                "Content-Range: bytes */5\r\n",
                "",
            ),
        ),
        ranged(
            "ignored",
            "lines=1-2",
            response("GET", "200 OK", "Content-Type: application/zip\r\n", "abcde"),
        ),
        case(
            "a conditional range",
            Request::get("/file.zip")
                .as_(IMAGE)
                .with("Range", "bytes=1-")
                .with("If-Range", "\"a\""),
        )
        .answered(response(
            "GET",
            "200 OK",
            "ETag: \"b\"\r\nContent-Type: application/zip\r\n",
            "abcde",
        )),
    ]
}

fn request_fields() -> Vec<Case> {
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

fn response_fields() -> Vec<Case> {
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

/// WebSockets, where the app agrees and where it does not.
fn upgrades() -> Vec<Case> {
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

/// What does not get to the app.
fn refused() -> Vec<Case> {
    vec![
        case(
            "an unknown expectation",
            Request::get("/expecting").with("Expect", "a-miracle"),
        ),
        case(
            "a path that is excluded by nobody",
            Request::get("/admin/users").as_(NAVIGATION),
        ),
    ]
}

/// What the app says to gatecount.
fn declared() -> Vec<Case> {
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
