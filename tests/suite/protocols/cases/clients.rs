//! What is said of the client and of the connection.

use super::{Case, case, page, path, response};
use crate::support::client::{NAVIGATION, Request};

/// What is said of the client, by a proxy that is trusted and by somebody who is not.
pub(super) fn forwarding() -> Vec<Case> {
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
pub(super) fn connection_options() -> Vec<Case> {
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
