//! A request made of a fuzzer's bytes, and what must hold for any.

use gatecount_fuzz::client::{
    AddressSource, Peer, Settings, ToApp, Visible, explain, forward, is_forwarding, resolve, visible,
};
use httparse::Header;

/// Takes settings and peer from the first byte and one line of the header from each line of the rest.
pub fn check(header: &str, bytes: &[u8]) {
    let Some((choice, rest)) = bytes.split_first() else {
        return;
    };
    let settings = Settings {
        header: header.parse::<AddressSource>().expect("the targets name headers"),
        trusted_hops: usize::from(choice >> 4).saturating_sub(10),
        to_app: [ToApp::Rewrite, ToApp::Append, ToApp::Rewrite, ToApp::Keep][usize::from(choice & 3)],
        ..Settings::default()
    };
    let peer: Peer = ["10.0.0.9", "203.0.113.9", "unix", "fe80::9"][usize::from(choice >> 2 & 3)]
        .parse()
        .expect("these are peers");
    // What a parser of requests lets through: no line break and no NUL in a value.
    let lines = rest.split(|b| matches!(b, b'\r' | b'\n' | 0));
    let fields: Vec<_> = lines.map(|value| Header { name: header, value }).collect();

    let resolved = resolve(&settings, peer, &fields);
    assert_eq!(resolve(&settings, peer, &fields), resolved);
    let arrived = Visible::plain(Some("example.com"));
    let seen = visible(&settings, &resolved, &fields, arrived);
    if !resolved.peer_trusted {
        assert_eq!(resolved.client, peer.ip());
        assert_eq!((seen.https, seen.host), (false, Some("example.com")));
    }
    let mut told = Vec::new();
    forward(
        &settings,
        &resolved,
        peer,
        &fields,
        &arrived,
        &seen,
        &mut |name, value| {
            assert!(is_forwarding(&settings, &resolved, name));
            assert!(!value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
            told.push((name.to_owned(), value.to_vec()));
        },
    );
    assert!(explain(&settings, peer, &fields).len() >= 2);

    // A second one of us, behind the first, has the same answer.
    if settings.to_app == ToApp::Rewrite && settings.trusted_hops == 0 {
        let fields: Vec<_> = told.iter().map(|(name, value)| Header { name, value }).collect();
        assert_eq!(resolve(&settings, Peer::Unix, &fields).client, resolved.client);
    }
}
