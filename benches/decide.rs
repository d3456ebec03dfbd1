//! The cost of deciding and of building events: the verdict for a page and for an image, the lookup of a user
//! agent, paths against patterns, an event from its sighting to its bytes. `cargo bench --bench decide`.

use divan::{Bencher, black_box};
use gatecount::event::{Event, EventRules, Sighting, Site, Sites};
use gatecount::facts::{RequestFacts, ResponseFacts};
use gatecount::page::{
    EventKind, Glob, Known, PageRules, RequestVerdict, SoftOutcome, Verdict, bots, judge_request,
    judge_response, judge_soft, soft_outcome,
};
use httparse::Header;

const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                      Chrome/129.0.0.0 Safari/537.36";
const SAFARI: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                      Version/17.5 Mobile/15E148 Safari/604.1";
const ANDROID: &str = "Mozilla/5.0 (Linux; Android 14; SM-S918B Build/UP1A.231005.007; wv) AppleWebKit/537.36 (KHTML, \
                       like Gecko) Version/4.0 Chrome/128.0.6613.127 Mobile Safari/537.36 \
                       [FB_IAB/FB4A;FBAV/479.0.0.54.87;IABMV/1;]";
const GOOGLEBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
const CURL: &str = "curl/8.5.0";

fn main() {
    bots::warm_up();
    divan::main();
}

/// The twelve fields of a browser's request.
fn fields(dest: &'static str, mode: &'static str, accept: &'static str) -> [Header<'static>; 12] {
    [
        ("Host", "example.com"),
        ("Connection", "keep-alive"),
        ("sec-ch-ua", "\"Chromium\";v=\"129\", \"Not=A?Brand\";v=\"8\""),
        ("sec-ch-ua-mobile", "?0"),
        ("sec-ch-ua-platform", "\"Windows\""),
        ("User-Agent", CHROME),
        ("Accept", accept),
        ("Sec-Fetch-Site", "same-origin"),
        ("Sec-Fetch-Mode", mode),
        ("Sec-Fetch-Dest", dest),
        ("Referer", "https://example.com/before?x=1"),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ]
    .map(|(name, value)| Header {
        name,
        value: value.as_bytes(),
    })
}

fn decide(rules: &PageRules, fields: &[Header<'_>], answer: &[Header<'_>]) -> Verdict {
    let request = RequestFacts::read("GET", "/blog/a-page?utm_source=news&token=1", fields);
    let client = Some([203, 0, 113, 7].into());
    let response = ResponseFacts::read(200, answer);
    match judge_request(rules, &request, true, client) {
        RequestVerdict::Settled(verdict) => verdict,
        RequestVerdict::Open(candidate) => judge_response(rules, &candidate, &response, Known::Nothing),
        RequestVerdict::Soft(soft) => match soft_outcome(soft, &response, Known::Nothing) {
            SoftOutcome::Settled(verdict) => verdict,
            SoftOutcome::Ahead => panic!("nothing is fetched ahead here"),
            SoftOutcome::Shown { at } => judge_soft(rules, &request, soft, at, true, client).0,
        },
    }
}

/// A fetch of a script's that is no page: it is answered with JSON.
#[divan::bench]
fn verdict_of_a_fetch(bencher: Bencher) {
    let rules = PageRules::default();
    let fields = fields("empty", "cors", "*/*");
    let answer = [Header {
        name: "Content-Type",
        value: b"application/json",
    }];
    assert_eq!(decide(&rules, &fields, &answer).event, None);
    bencher.bench(|| decide(black_box(&rules), black_box(&fields), black_box(&answer)));
}

/// A soft navigation: the page is fetched by Turbo.
#[divan::bench]
fn verdict_of_a_soft_navigation(bencher: Bencher) {
    let rules = PageRules::default();
    let mut fields = fields("empty", "cors", "text/html, application/xhtml+xml").to_vec();
    fields.push(Header {
        name: "X-Turbo-Request-Id",
        value: b"0f3c",
    });
    let answer = [Header {
        name: "Content-Type",
        value: b"text/html; charset=utf-8",
    }];
    assert_eq!(decide(&rules, &fields, &answer).event, Some(EventKind::PageView));
    bencher.bench(|| decide(black_box(&rules), black_box(&fields), black_box(&answer)));
}

#[divan::bench]
fn verdict_of_a_page(bencher: Bencher) {
    let rules = PageRules::default();
    let fields = fields(
        "document",
        "navigate",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    );
    let answer = [
        Header {
            name: "Content-Type",
            value: b"text/html; charset=utf-8",
        },
        Header {
            name: "Cache-Control",
            value: b"no-cache",
        },
    ];
    assert_eq!(decide(&rules, &fields, &answer).event, Some(EventKind::PageView));
    bencher.bench(|| decide(black_box(&rules), black_box(&fields), black_box(&answer)));
}

#[divan::bench]
fn verdict_of_an_image(bencher: Bencher) {
    let rules = PageRules::default();
    let fields = fields("image", "no-cors", "image/avif,image/webp,*/*;q=0.8");
    let answer = [Header {
        name: "Content-Type",
        value: b"image/webp",
    }];
    assert_eq!(decide(&rules, &fields, &answer).event, None);
    bencher.bench(|| decide(black_box(&rules), black_box(&fields), black_box(&answer)));
}

/// A user agent whose result is kept.
#[divan::bench(args = [CHROME, SAFARI, ANDROID, GOOGLEBOT, CURL])]
fn bot_lookup(bencher: Bencher, agent: &str) {
    bencher.bench(|| bots::recognise(black_box(Some(agent.as_bytes()))));
}

/// A user agent that is new: each has another number at its end.
#[divan::bench(args = [CHROME, SAFARI, ANDROID, GOOGLEBOT, CURL])]
fn bot_lookup_of_a_new_one(bencher: Bencher, agent: &str) {
    let mut number = 0_u64;
    let inputs = || {
        number += 1;
        format!("{agent} {number}")
    };
    bencher
        .with_inputs(inputs)
        .bench_local_refs(|agent| bots::recognise(black_box(Some(agent.as_bytes()))));
}

fn rules() -> EventRules {
    let site = Site {
        hosts: vec![
            "example.com".parse().expect("a host"),
            "*.example.com".parse().expect("a pattern"),
        ],
        domains: vec!["example.com".to_owned()],
    };
    EventRules {
        sites: Sites::new(vec![site]),
        ..EventRules::default()
    }
}

fn sighting() -> Sighting<'static> {
    Sighting {
        at_ns: 1,
        at_ms: 1_700_000_000_000,
        kind: EventKind::PageView,
        client: [203, 0, 113, 7].into(),
        user_agent: CHROME.as_bytes(),
        https: true,
        host: b"www.example.com",
        target: b"/blog/a-page?utm_source=news&token=1",
        referrer: Some(b"https://example.com/before?x=1"),
        domain: b"example.com",
        members: b"",
    }
}

#[divan::bench]
fn site_of_a_host(bencher: Bencher) {
    let rules = rules();
    bencher.bench(|| {
        black_box(&rules)
            .sites
            .find(black_box(Some("www.example.com")))
            .is_some()
    });
}

#[divan::bench]
fn sighting_encode(bencher: Bencher) {
    let mut out = Vec::with_capacity(1024);
    bencher.bench_local(|| {
        out.clear();
        black_box(sighting()).encode(&mut out);
        out.len()
    });
}

#[divan::bench]
fn event_from_the_sighting_to_its_bytes(bencher: Bencher) {
    let rules = rules();
    let mut ring = Vec::new();
    sighting().encode(&mut ring);
    let mut out = Vec::with_capacity(1024);
    bencher.bench_local(|| {
        out.clear();
        let seen = Sighting::decode(black_box(&ring)).expect("what was encoded");
        Event::record(&rules, &seen, &mut out);
        out.len()
    });
}

const PATTERNS: [&str; 5] = ["/admin/**", "/reset/*", "/**/print", "/*.pdf", "/api/*/status"];

/// The path of a page that no pattern matches, as nearly every path is: the patterns of `exclude`, one and
/// five.
#[divan::bench(args = [1, 5])]
fn path_against_patterns(bencher: Bencher, count: usize) {
    let patterns: Vec<Glob> = PATTERNS[..count]
        .iter()
        .map(|text| text.parse().expect("these are patterns"))
        .collect();
    bencher.bench(|| {
        black_box(&patterns)
            .iter()
            .any(|pattern| pattern.matches(black_box("/blog/2026/a-page-with-a-name")))
    });
}
