//! Who counts: bots, the configuration, signs and addresses, and which reason comes first.

use crate::page::bots::BotKind;
use crate::page::{Bots, CountMode, Decision, EventKind, PageRules};

use super::{CHROME, Case, page};

fn fetched_by(name: &'static str, kind: BotKind) -> EventKind<'static> {
    EventKind::Bot { name, kind }
}

#[test]
fn bots_are_skipped_counted_or_sent_to_a_domain_of_their_own() {
    let bot = || Case {
        agent: Some("Mozilla/5.0 (compatible; Googlebot/2.1)"),
        ..page()
    };
    let apart = |c: Case<'static>| c.ruled(|r| r.bots = Bots::Domain("bots.example.com".to_owned()));
    bot().is(Decision::Bot, None);
    Case {
        agent: None,
        ..page()
    }
    .is(Decision::Bot, None);
    bot().ruled(|r| r.bots = Bots::Count).counts();
    apart(bot()).is(Decision::Bot, Some(fetched_by("Googlebot", BotKind::Search)));
    apart(Case {
        agent: None,
        ..page()
    })
    .is(Decision::Bot, Some(fetched_by("No user agent", BotKind::Other)));
    apart(bot().answered(302, &[])).is(Decision::Bot, None);
    apart(bot().answered(404, &[("Content-Type", "text/html")]))
        .ruled(|r| r.not_found = true)
        .is(Decision::Bot, None);
    apart(Case {
        has_client: false,
        ..bot()
    })
    .is(Decision::Bot, None);
    apart(page()).counts();
}

#[test]
fn who_says_to_be_a_bot_is_one_whatever_the_user_agent() {
    for (name, value) in [
        ("Signature-Agent", "\"https://chatgpt.com\""),
        ("From", "crawler@example.com"),
        (
            "Sec-CH-UA",
            "\"HeadlessChrome\";v=\"129\", \"Chromium\";v=\"129\"",
        ),
    ] {
        page().with(name, value).is(Decision::Bot, None);
        page().with(name, value).ruled(|r| r.bots = Bots::Count).counts();
    }
    page().with("From", "").counts();
    page().with("Sec-CH-UA", "\"Google Chrome\";v=\"129\"").counts();
    let apart = |r: &mut PageRules| r.bots = Bots::Domain("bots.example.com".to_owned());
    page()
        .with("Sec-CH-UA", "\"HeadlessChrome\";v=\"129\"")
        .ruled(apart)
        .is(Decision::Bot, Some(fetched_by("Headless Chrome", BotKind::Tool)));
}

#[test]
fn what_a_cdn_fetches_for_itself_is_no_view_and_what_it_hands_on_is_one() {
    for agent in [
        "Amazon CloudFront",
        "Mozilla/5.0 (compatible; CloudFlare-AlwaysOnline/1.0; +https://www.cloudflare.com/always-online)",
        "KeyCDN-Tools:br/1",
    ] {
        let fetched = Case {
            agent: Some(agent),
            ..page().with("Via", "1.1 cdn")
        };
        fetched.is(Decision::Bot, None);
    }
    page()
        .with("Via", "2.0 cdn")
        .with("CDN-Loop", "cloudflare")
        .counts();
}

#[test]
fn the_configuration_leaves_out_paths_and_signs() {
    page()
        .ruled(|r| r.count = CountMode::Never)
        .is(Decision::Excluded, None);
    let admin = |c: Case<'static>| c.ruled(|r| r.exclude = vec!["/admin/**".parse().unwrap()]);
    admin(page().at("/admin?x=1")).is(Decision::Excluded, None);
    admin(page().at("/administrator")).counts();
    let blog = |c: Case<'static>| c.ruled(|r| r.include = vec!["/blog/*".parse().unwrap()]);
    blog(page().at("/blog/a?x=/y")).counts();
    blog(page().at("/about")).is(Decision::Excluded, None);
    let signed = |c: Case<'static>| c.ruled(|r| r.exclude_when = vec!["cookie:staff".parse().unwrap()]);
    signed(page().with("Cookie", "a=1; staff=1")).is(Decision::Excluded, None);
    signed(page().with("Cookie", "a=staff")).counts();
    page().with("Sec-GPC", "1").counts();
    page()
        .with("Sec-GPC", "1")
        .ruled(|r| r.respect_gpc = true)
        .is(Decision::OptedOut, None);
    page()
        .with("DNT", "1")
        .ruled(|r| r.respect_gpc = true)
        .is(Decision::OptedOut, None);
    page().with("DNT", "0").ruled(|r| r.respect_gpc = true).counts();
}

#[test]
fn the_first_reason_in_order_is_the_one_given() {
    // Each step takes the reason above away.
    let mut c = Case {
        agent: Some("curl/8.5.0"),
        known_site: false,
        has_client: false,
        ..page()
            .at("/admin")
            .by("HEAD")
            .with("Purpose", "prefetch")
            .with("DNT", "1")
            .answered(500, &[])
    };
    c.rules = PageRules {
        count: CountMode::Never,
        exclude: vec!["/admin/**".parse().unwrap()],
        respect_gpc: true,
        ..PageRules::default()
    };
    let mut expect = |decision, change: &dyn Fn(&mut Case<'static>)| {
        assert_eq!(c.decide().decision, decision);
        change(&mut c);
    };
    expect(Decision::NotPage, &|c| c.method = "GET");
    expect(Decision::UnknownSite, &|c| c.known_site = true);
    expect(Decision::Excluded, &|c| c.rules.count = CountMode::Always);
    expect(Decision::Excluded, &|c| c.rules.exclude.clear());
    expect(Decision::OptedOut, &|c| c.rules.respect_gpc = false);
    expect(Decision::Prefetch, &|c| {
        c.fields.retain(|(name, _)| *name != "Purpose");
    });
    expect(Decision::Bot, &|c| c.agent = Some(CHROME));
    expect(Decision::NoClient, &|c| c.has_client = true);
    expect(Decision::ErrorStatus, &|c| c.status = 200);
    expect(Decision::NotHtml, &|_| {});
}

#[test]
fn visits_from_ignored_addresses_are_left_out() {
    let from = |ranges: &[&str]| {
        let ranges = ranges.iter().map(|range| range.parse().unwrap()).collect();
        page().ruled(|r| r.ignore_clients = ranges)
    };
    from(&["203.0.113.0/24"]).is(Decision::Excluded, None);
    from(&["2001:db8::/32", "203.0.113.7/32"]).is(Decision::Excluded, None);
    from(&["203.0.114.0/24"]).counts();
}
