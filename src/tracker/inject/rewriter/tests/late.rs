//! Pages whose own script comes when the one that is put in has gone on.

use super::*;

const OWN: &str = "<script src=\"/js/script.js\"></script>";

/// Passes these pieces of a page of this host, with what other pages of it have told.
fn pass_of(shared: &Arc<Injection>, host: &str, coding: ContentCoding, pieces: &[&[u8]]) -> Vec<u8> {
    let page = Page {
        shared: Arc::clone(shared),
        domain: "example.com".to_owned(),
        https: false,
        host: host.to_owned(),
        charset: UTF_8,
        policies: Policies::read(&[]),
    };
    let rewriter = Rewriter::new(Rc::new(page), coding, Rooms::default().take(0).unwrap());
    pass(rewriter, pieces.iter().copied()).unwrap()
}

#[test]
fn a_script_that_comes_late_is_seen_and_the_next_page_of_the_host_gets_no_other() {
    let filler = format!("<p>{}</p>", "text ".repeat(2_000));
    let start = format!("<html><head><title>x</title></head><body>{filler}");
    let with = format!("{start}{filler}{OWN}</body></html>");
    let without = format!("{start}{filler}</body></html>");
    let at_the_end = without.replace("</body>", &format!("{TAG}</body>"));
    for (coding, wire) in [
        (ContentCoding::Identity, None),
        (ContentCoding::Gzip, Some(Wire::Gzip)),
    ] {
        let shared = Arc::clone(&page("", UTF_8).shared);
        let pass_page = |host: &str, text: &str| {
            let sent = wire.map_or(text.as_bytes().to_vec(), |wire| encode(wire, text.as_bytes()));
            let pieces: Vec<&[u8]> = sent.chunks(100).collect();
            let got = pass_of(&shared, host, coding, &pieces);
            wire.map_or(got.clone(), |wire| decode(wire, &got).0)
        };
        let first = pass_page("example.com", &with);
        let in_head = with.replace("<head>", &format!("<head>{TAG}"));
        assert_page("the first page has both", &first, in_head.as_bytes());
        assert_page(
            "the next one its own",
            &pass_page("example.com", &with),
            with.as_bytes(),
        );
        assert_page(
            "one without a script of its own",
            &pass_page("example.com", &without),
            at_the_end.as_bytes(),
        );
        let elsewhere = without.replace("<head>", &format!("<head>{TAG}"));
        assert_page(
            "another host's",
            &pass_page("b.example", &without),
            elsewhere.as_bytes(),
        );
    }
}

#[test]
fn a_late_script_is_seen_wherever_its_tag_is_cut() {
    let (start, end) = ("<head></head><body>", format!("<p>x</p>{OWN}</body>"));
    for cut in 0..end.len() {
        let shared = Arc::clone(&page("", UTF_8).shared);
        let (first, second) = end.as_bytes().split_at(cut);
        let pieces = [start.as_bytes(), first, second];
        let got = pass_of(&shared, "example.com", ContentCoding::Identity, &pieces);
        assert!(String::from_utf8_lossy(&got).contains(TAG), "cut at {cut}");
        assert!(shared.late.has("example.com"), "cut at {cut}");
    }
    let shared = Arc::clone(&page("", UTF_8).shared);
    let other = b"<p>data-domain plausible.io /js/script.js</p><script src=/app.js></script></body>";
    pass_of(
        &shared,
        "example.com",
        ContentCoding::Identity,
        &[start.as_bytes(), other],
    );
    assert!(!shared.late.has("example.com"), "a text about it is none");
}
