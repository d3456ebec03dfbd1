//! A real browser runs the script that pages got.

use super::{PAGE, answer, before, encode, sent};
use crate::support::{
    chromium::{self, Chromium},
    origin::{Origin, Then},
    skip,
};

/// Tells in the page what its tag and the page's call say.
const SCRIPT: &str = "\
    var own = document.currentScript.dataset, init = window.plausible && window.plausible.o;\n\
    document.body.append('counts for ' + own.domain + ' by ' + own.api + ', init ' + JSON.stringify(init || null));";

#[test]
fn the_script_runs_in_a_coded_page_under_a_policy() {
    let Some(chromium) = Chromium::installed() else {
        return skip("Chromium is not installed");
    };
    let policies = [
        ("gzip", "default-src 'self'"),
        (
            "br",
            "script-src 'nonce-abc' 'strict-dynamic'; connect-src 'self'",
        ),
        ("zstd", "script-src 'self' 'unsafe-inline'"),
        ("identity", "default-src 'self' 'nonce-xyz'"),
        // A policy that would block it: the page works without.
        ("deflate", "script-src 'none'"),
    ];
    let app = Origin::start(move |visit| {
        let target = visit.head.target().to_owned();
        if target.starts_with("/js/") {
            visit.answer("text/javascript", SCRIPT.as_bytes())?;
            return Ok(Then::Keep);
        }
        let policy = policies.iter().find(|(coding, _)| target == format!("/{coding}"));
        let Some((coding, policy)) = policy else {
            visit.answer("image/png", b"")?;
            return Ok(Then::Keep);
        };
        // Chromium takes br and zstd over TLS and on this host alone.
        let lines = format!("content-security-policy: {policy}\r\ncontent-encoding: {coding}\r\n");
        visit.send(answer(&lines, &encode(coding, sent(PAGE).as_bytes())))?;
        Ok(Then::Keep)
    });
    for (source, init) in [
        ("script.js", "null"),
        ("pa-AbC.js", "{\"endpoint\":\"/api/event\"}"),
    ] {
        let sidecar = before(&app)
            .set("client.trusted_proxies", vec!["127.0.0.2"])
            .set("tracker.source", format!("{}/js/{source}", app.url()))
            .start();
        for (coding, policy) in policies {
            let url = format!("http://{}:{}/{coding}", chromium::HOST, sidecar.address.port());
            let dom = chromium.dom(&url);
            assert!(dom.contains("<p>Hello</p>"), "{coding}: {dom}");
            let runs = match (coding, source) {
                // The other script needs an inline one too, which this policy allows to no one.
                ("deflate", _) | ("gzip", "pa-AbC.js") => false,
                _ => true,
            };
            let told = format!("counts for example.com by /api/event, init {init}");
            assert_eq!(
                dom.contains(&told),
                runs,
                "{coding} under {policy} with {source}: {dom}"
            );
        }
    }
}
