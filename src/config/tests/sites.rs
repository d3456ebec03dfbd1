//! Which sites there are: what must be said, and what would never be reached.

use super::*;

#[test]
fn an_app_and_a_site_must_be_said() {
    assert_eq!(
        told(load(&sources(&[], &[], Flags::default()))),
        [
            "app.url: missing: say where the app listens, by --app http://127.0.0.1:3000, GATECOUNT_APP_URL or url in [app]",
            "sites: missing: say which site at Plausible this is, by --domain example.com or GATECOUNT_DOMAIN (for every host), \
             or [[sites]] with hosts and domain",
        ]
    );
    let file = "[[sites]]\n\n[[sites]]\nhosts = []\ndomain = \"https://example.com\"\n";
    assert_eq!(
        told(from_file(file)),
        [
            "gatecount.toml:1: sites.hosts: missing: each site has hosts = [\"example.com\"]",
            "gatecount.toml:1: sites.domain: missing: each site has domain = \"example.com\"",
            "gatecount.toml:4: sites.hosts = []: at least one is wanted",
            "gatecount.toml:5: sites.domain = \"https://example.com\": a site's name at Plausible is wanted, such as \"example.com\", without a scheme",
        ]
    );
}

#[test]
fn a_domain_has_no_slash_at_its_end() {
    let flags = Flags {
        domain: vec!["example.com/".to_owned()],
        ..enough()
    };
    let problem = "a site's name at Plausible is wanted, such as \"example.com\", without a slash at its end";
    assert_eq!(
        told(load(&sources(&[], &[], flags))),
        [format!("--domain: sites.domain = \"example.com/\": {problem}")]
    );
    let flags = Flags {
        domain: vec!["example.com/blog".to_owned()],
        ..enough()
    };
    assert_eq!(told(load(&sources(&[], &[], flags))), [""; 0]);
}

#[test]
fn a_site_that_earlier_ones_hide_is_told_with_the_one_before_it() {
    let sites = |hosts: &[&str]| {
        let tables = hosts
            .iter()
            .map(|hosts| format!("[[sites]]\nhosts = {hosts}\ndomain = \"a.example\"\n"));
        let file: String = tables.collect();
        told(load(&sources(
            &[("gatecount.toml", &file)],
            &[],
            Flags {
                domain: Vec::new(),
                ..enough()
            },
        )))
    };
    let hidden = |line: u32, hosts: &str, before: u32| {
        [format!(
            "gatecount.toml:{line}: sites.hosts = {hosts}: this site is never reached: the first match counts, and the \
             one before it (gatecount.toml:{before}) has its hosts; put this one first"
        )]
    };
    assert_eq!(
        sites(&[r#"["*.example.com", "example.com"]"#, r#"["www.example.com"]"#]),
        hidden(4, r#"["www.example.com"]"#, 1)
    );
    assert_eq!(
        sites(&[r#"["b.example"]"#, r#"["*"]"#, r#"["*.a.example", "c.example"]"#]),
        hidden(7, r#"["*.a.example", "c.example"]"#, 4)
    );
    assert_eq!(
        sites(&[r#"["*.example.com"]"#, r#"["*.shop.example.com"]"#]),
        hidden(4, r#"["*.shop.example.com"]"#, 1)
    );
    for reached in [
        [r#"["www.example.com"]"#, r#"["*.example.com"]"#],
        [r#"["*.example.com"]"#, r#"["example.com"]"#],
        [r#"["*.example.com"]"#, r#"["www.example.com", "example.com"]"#],
        [r#"["*.example.com"]"#, r#"["*"]"#],
    ] {
        assert_eq!(sites(&reached), Vec::<String>::new(), "{reached:?}");
    }
}
