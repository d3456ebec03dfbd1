//! Policies as sites have them, asked about a script.

use super::*;

const INLINE: &str = "'sha256-abc='";

fn ask(policies: &[&str], metas: &[&str], inline: bool) -> Result<Option<String>, String> {
    let fields: Vec<_> = policies
        .iter()
        .map(|value| Header {
            name: "Content-Security-Policy",
            value: value.as_bytes(),
        })
        .collect();
    let mut policies = Policies::read(&fields);
    for meta in metas {
        policies.add_meta(meta);
    }
    let hashes = [INLINE.to_owned(), "'sha512-def='".to_owned()];
    let wanted = WantedScript {
        https: true,
        host: "www.example.com:8443",
        path: "/js/script.js",
        sends_to: "/api/event",
        inline_hashes: if inline { &hashes } else { &[] },
    };
    let allowed = policies.allow(&wanted);
    allowed
        .map(|nonce| nonce.map(str::to_owned))
        .map_err(|m| m.to_string())
}

#[test]
fn a_policy_allows_the_script_or_says_what_it_lacks() {
    for (policy, expected) in [
        ("", Ok(None)),
        ("img-src 'none'; style-src 'self'", Ok(None)),
        ("script-src 'self'", Ok(None)),
        ("SCRIPT-SRC 'SELF'", Ok(None)),
        ("default-src 'self'", Ok(None)),
        ("default-src *", Ok(None)),
        ("default-src https:", Ok(None)),
        ("default-src http:", Ok(None)),
        ("default-src wss: data:", Err("default-src 'self'")),
        ("default-src 'none'", Err("default-src 'self'")),
        ("script-src", Err("script-src 'self'")),
        ("script-src 'none'", Err("script-src 'self'")),
        ("script-src 'none'; script-src 'self'", Err("script-src 'self'")),
        ("script-src-elem 'self'; script-src 'none'", Ok(None)),
        (
            "script-src-elem 'none'; script-src 'self'",
            Err("script-src-elem 'self'"),
        ),
        ("script-src-attr 'none'", Ok(None)),
        ("script-src https://cdn.example.com", Err("script-src 'self'")),
        ("script-src 'unsafe-inline'", Err("script-src 'self'")),
        (
            "script-src 'self'; connect-src https://api.test",
            Err("connect-src 'self'"),
        ),
        (
            "default-src 'self'; connect-src 'none'",
            Err("connect-src 'self'"),
        ),
        ("default-src 'none'; script-src 'self'", Err("default-src 'self'")),
        (
            "default-src 'none'; script-src 'self'; connect-src 'self'",
            Ok(None),
        ),
        ("sandbox", Err("sandbox allow-scripts")),
        ("sandbox allow-scripts allow-forms", Ok(None)),
        (
            "script-src 'self', script-src https://cdn.test",
            Err("script-src 'self'"),
        ),
        ("script-src 'self' 'strict-dynamic'", Err("script-src 'nonce-…'")),
        (
            "script-src 'sha256-x' 'strict-dynamic'",
            Err("script-src 'nonce-…'"),
        ),
    ] {
        let expected = expected.map_err(str::to_owned);
        assert_eq!(ask(&[policy], &[], false), expected, "{policy}");
    }
    assert_eq!(
        ask(&["script-src 'self'", "default-src 'none'"], &[], false),
        Err("default-src 'self'".to_owned()),
        "each line is a policy"
    );
}

#[test]
fn a_host_matches_by_scheme_name_port_and_path() {
    for (source, fits) in [
        ("www.example.com:8443", true),
        ("https://WWW.example.com:8443", true),
        ("http://www.example.com:8443", true),
        ("wss://www.example.com:8443", false),
        ("*.example.com:8443", true),
        ("*.example.com:*", true),
        ("*:8443", true),
        ("www.example.com", false),
        ("www.example.com:443", false),
        ("*.www.example.com:8443", false),
        ("example.com:8443", false),
        ("*ww.example.com:8443", false),
        ("www.example.com:8443/js/", true),
        ("www.example.com:8443/js/script.js", true),
        ("www.example.com:8443/js", false),
        ("www.example.com:8443/other/", false),
    ] {
        let policy = format!("script-src {source}");
        assert_eq!(ask(&[&policy], &[], false).is_ok(), fits, "{source}");
    }
}

#[test]
fn a_nonce_of_the_policy_is_taken() {
    let taken = |nonce: &str| Ok(Some(nonce.to_owned()));
    let one = "script-src 'nonce-r4nd0m+/=' 'strict-dynamic'";
    assert_eq!(ask(&[one], &[], false), taken("r4nd0m+/="));
    assert_eq!(ask(&[one], &[], true), taken("r4nd0m+/="));
    assert_eq!(ask(&["default-src 'self' 'NONCE-a'"], &[], true), taken("a"));
    // Both policies must know it.
    let two = ["script-src 'nonce-a' 'nonce-b'", "script-src 'nonce-b'"];
    assert_eq!(ask(&two, &[], true), taken("b"));
    let split = ["script-src 'nonce-a'", "script-src 'nonce-b'"];
    assert_eq!(ask(&split, &[], false), Err("script-src 'self'".to_owned()));
    // What can't stand in an attribute is no nonce.
    assert!(ask(&["script-src 'nonce-a\"onload=1'"], &[], false).is_err());
    assert!(ask(&["script-src 'nonce-'"], &[], false).is_err());
}

#[test]
fn an_inline_script_needs_more() {
    for (policy, allowed) in [
        ("img-src 'self'", true),
        ("script-src 'self'", false),
        ("script-src 'self' 'unsafe-inline'", true),
        ("script-src 'self' 'unsafe-inline' 'sha256-other='", false),
        ("script-src 'self' 'sha256-abc='", true),
        ("script-src 'self' 'sha512-def='", true),
        ("script-src 'sha256-abc='", false),
    ] {
        assert_eq!(ask(&[policy], &[], true).is_ok(), allowed, "{policy}");
    }
    let missing = ask(&["script-src 'self'"], &[], true);
    assert_eq!(missing, Err(format!("script-src {INLINE}")));
}

#[test]
fn a_policy_in_the_page_counts_too_but_can_not_sandbox() {
    let blocked = ask(&["script-src 'self'"], &["script-src 'none'"], false);
    assert_eq!(blocked, Err("script-src 'self'".to_owned()));
    assert_eq!(ask(&[], &["sandbox; script-src 'self'"], false), Ok(None));
    assert_eq!(
        ask(&[], &["script-src 'nonce-m'"], false),
        Ok(Some("m".to_owned()))
    );
}

#[test]
fn only_what_is_enforced_counts() {
    let field = |name| {
        [Header {
            name,
            value: &b"script-src 'none'"[..],
        }]
    };
    assert_eq!(
        Policies::read(&field("content-security-policy-report-only"))
            .0
            .len(),
        0
    );
    assert_eq!(Policies::read(&field("Content-Security-Policy")).0.len(), 1);
    let integrity = |value: &'static str| {
        let fields = [Header {
            name: "Integrity-Policy",
            value: value.as_bytes(),
        }];
        Policies::read(&fields).0.len()
    };
    assert_eq!(integrity("blocked-destinations=(script), endpoints=(e)"), 1);
    assert_eq!(integrity("blocked-destinations=(style)"), 0);
}
