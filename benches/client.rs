//! The cost of finding the client and of writing the head for the app, in nanoseconds and allocations:
//! `cargo bench --bench client`.

use divan::{AllocProfiler, Bencher, black_box};
use gatecount::{
    client::{Peer, Settings, Visible, forward, is_forwarding, proxy_protocol, resolve, visible},
    headers::{ConnectionOptions, to_app},
};
use httparse::Header;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// A browser's request through one proxy, with the header that names the client.
fn request<'a>(name: &'a str, value: &'a str) -> Vec<Header<'a>> {
    let lines = [
        ("Host", "www.example.com"),
        ("Connection", "keep-alive"),
        ("sec-ch-ua", "\"Chromium\";v=\"126\", \"Not.A/Brand\";v=\"8\""),
        ("Upgrade-Insecure-Requests", "1"),
        (
            "User-Agent",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
        ),
        (
            "Accept",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        ),
        ("Sec-Fetch-Site", "none"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
        ("Accept-Language", "en-GB,en;q=0.9"),
        ("X-Forwarded-Proto", "https"),
        (name, value),
    ];
    let field = |(name, value): (&'a str, &'a str)| Header {
        name,
        value: value.as_bytes(),
    };
    lines.map(field).to_vec()
}

/// The header that is read, its value, and the peer.
const WALKS: [(&str, &str, &str); 6] = [
    ("x-forwarded-for", "203.0.113.7", "10.0.0.9"),
    ("x-forwarded-for", "2001:db8:85a3::8a2e:370:7334", "10.0.0.9"),
    (
        "x-forwarded-for",
        "1.1.1.1, 2.2.2.2, 203.0.113.7, 10.0.0.5",
        "10.0.0.9",
    ),
    ("x-forwarded-for", "203.0.113.7", "203.0.113.9"),
    (
        "forwarded",
        "for=\"[2001:db8::7]:4711\";proto=https;host=www.example.com",
        "10.0.0.9",
    ),
    ("cf-connecting-ip", "203.0.113.7", "10.0.0.9"),
];

#[divan::bench(args = 0..WALKS.len())]
fn resolve_one(bencher: Bencher<'_, '_>, walk: usize) {
    let (name, value, peer) = WALKS[walk];
    let fields = request(name, value);
    let peer: Peer = peer.parse().expect("the peers above are addresses");
    let settings = settings(name);
    bencher.bench_local(|| resolve(black_box(&settings), black_box(peer), black_box(&fields)));
}

#[divan::bench(args = 0..WALKS.len())]
fn visible_one(bencher: Bencher<'_, '_>, walk: usize) {
    let (name, value, peer) = WALKS[walk];
    let fields = request(name, value);
    let settings = settings(name);
    let resolved = resolve(
        &settings,
        peer.parse().expect("the peers above are addresses"),
        &fields,
    );
    bencher.bench_local(|| {
        visible(
            black_box(&settings),
            &resolved,
            black_box(&fields),
            Visible::plain(Some("www.example.com")),
        )
    });
}

/// The whole head for the app: the fields that are copied and the forwarding headers.
#[divan::bench(args = 0..WALKS.len())]
fn head_to_app(bencher: Bencher<'_, '_>, walk: usize) {
    let (name, value, peer) = WALKS[walk];
    let fields = request(name, value);
    let settings = settings(name);
    let peer: Peer = peer.parse().expect("the peers above are addresses");
    let mut out = Vec::with_capacity(4096);
    bencher.bench_local(|| {
        out.clear();
        let fields = black_box(&fields[..]);
        let resolved = resolve(&settings, peer, fields);
        let connection = ConnectionOptions::read(fields);
        let arrived = Visible::plain(Some("www.example.com"));
        to_app(
            fields,
            &connection,
            |name| is_forwarding(&settings, &resolved, name),
            &mut out,
        );
        forward(
            &settings,
            &resolved,
            peer,
            fields,
            &arrived,
            &visible(&settings, &resolved, fields, arrived),
            &mut |name, value| {
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b": ");
                out.extend_from_slice(value);
                out.extend_from_slice(b"\r\n");
            },
        );
        out.len()
    });
}

#[divan::bench]
fn proxy_protocol_v1() -> Result<proxy_protocol::ProxyHeader, proxy_protocol::ProxyHeaderError> {
    proxy_protocol::parse(black_box(
        b"PROXY TCP4 203.0.113.7 10.0.0.1 56324 443\r\nGET / HTTP/1.1\r\n",
    ))
}

fn settings(header: &str) -> Settings {
    Settings {
        header: header.parse().expect("the headers above are settings"),
        ..Settings::default()
    }
}
