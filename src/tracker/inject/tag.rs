//! The script's tag as text, and how a page's own is recognised.

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::digest;

use super::settings::InjectSettings;

/// What is put into pages: the same for each, but for domain and nonce.
#[derive(Debug)]
pub(super) struct Tag {
    settings: InjectSettings,
    /// The text of the inline script that a page needs too; empty if it needs none.
    inline: String,
    /// The hash sources by which a policy can allow the inline script, each algorithm's.
    inline_hashes: Vec<String>,
}

/// Who serves Plausible's scripts for all its customers.
const PLAUSIBLE: &str = "plausible.io";
/// How the files of its scripts begin.
const FILES: [&str; 4] = ["pa-", "script.", "plausible.", "analytics."];

impl Tag {
    pub(super) fn new(settings: InjectSettings) -> Self {
        // The script reads its endpoint from this call alone: it looks at no attribute of its tag. The first
        // two statements keep the call until the script is there (Plausible's own snippet).
        let inline = if settings.needs_init {
            format!(
                "window.plausible=window.plausible||function(){{(plausible.q=plausible.q||[]).push(arguments)}},\
                 plausible.init=plausible.init||function(i){{plausible.o=i||{{}}}};\
                 plausible.init({{endpoint:\"{}\"}})",
                in_script(&settings.event)
            )
        } else {
            String::new()
        };
        let hash = |(name, algorithm): (&str, &'static digest::Algorithm)| {
            let hash = STANDARD.encode(digest::digest(algorithm, inline.as_bytes()));
            format!("'{name}-{hash}'")
        };
        let algorithms = [
            ("sha256", &digest::SHA256),
            ("sha384", &digest::SHA384),
            ("sha512", &digest::SHA512),
        ];
        let inline_hashes = if inline.is_empty() {
            Vec::new()
        } else {
            algorithms.into_iter().map(hash).collect()
        };
        Tag {
            settings,
            inline,
            inline_hashes,
        }
    }

    pub(super) fn settings(&self) -> &InjectSettings {
        &self.settings
    }

    pub(super) fn inline_hashes(&self) -> &[String] {
        &self.inline_hashes
    }

    /// The markup for a page of this site.
    pub(super) fn write(&self, domain: &str, nonce: Option<&str>) -> String {
        let nonce = nonce
            .map(|nonce| format!(" nonce=\"{nonce}\""))
            .unwrap_or_default();
        let mut markup = format!(
            "<script defer data-domain=\"{}\" data-api=\"{}\" src=\"{}\"{nonce}></script>",
            in_attribute(domain),
            in_attribute(&self.settings.event),
            in_attribute(&self.settings.script),
        );
        if !self.inline.is_empty() {
            markup = format!("{markup}<script{nonce}>{}</script>", self.inline);
        }
        markup
    }

    /// Whether a script of a page on `host` is the tracker's: by its source, which is the configured path or
    /// Plausible's, or by the domain that it counts for.
    pub(super) fn is_in(
        &self,
        host: &str,
        domain: &str,
        src: Option<&str>,
        counts_for: Option<&str>,
    ) -> bool {
        if counts_for.is_some_and(|other| other.trim().eq_ignore_ascii_case(domain)) {
            return true;
        }
        let Some(src) = src.map(str::trim) else {
            return false;
        };
        let src = src.split(['?', '#']).next().unwrap_or_default();
        let Some((authority, path)) = absolute(src) else {
            return src == self.settings.script
                || src.trim_start_matches("./") == self.settings.script.trim_start_matches('/');
        };
        if authority.eq_ignore_ascii_case(host) && path == self.settings.script {
            return true;
        }
        let name = authority.split(':').next().unwrap_or_default();
        let file = path.rsplit('/').next().unwrap_or_default();
        [PLAUSIBLE, &self.settings.plausible]
            .iter()
            .any(|host| name.eq_ignore_ascii_case(host))
            && FILES.iter().any(|start| file.starts_with(start))
    }

    /// Whether these bytes can have the tracker's script at all; a quick look.
    pub(super) fn may_be_in(&self, page: &[u8]) -> bool {
        let has = |text: &str| memchr::memmem::find(page, text.as_bytes()).is_some();
        has(self.settings.script.trim_start_matches('/'))
            || has("data-domain")
            || has(PLAUSIBLE)
            || has(&self.settings.plausible)
    }
}

/// Authority and path of a URL with a host.
fn absolute(url: &str) -> Option<(&str, &str)> {
    let rest = match url.split_once("//") {
        Some(("", rest)) => rest,
        Some((scheme, rest)) if ["http:", "https:"].iter().any(|s| scheme.eq_ignore_ascii_case(s)) => rest,
        _ => return None,
    };
    let end = rest.find('/').unwrap_or(rest.len());
    Some(rest.split_at(end))
}

/// A text within a double-quoted attribute.
fn in_attribute(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
}

/// A text within a double-quoted string of an inline script.
fn in_script(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('<', "\\u003c")
        .replace(['\n', '\r', '\u{2028}', '\u{2029}'], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(source: &str) -> Tag {
        Tag::new(InjectSettings {
            script: "/js/script.js".to_owned(),
            event: "/api/event".to_owned(),
            needs_init: InjectSettings::needs_init(source),
            plausible: "stats.example.net".to_owned(),
        })
    }

    #[test]
    fn the_tag_names_site_endpoint_and_script() {
        let old = tag("https://plausible.io/js/script.outbound-links.js");
        assert_eq!(
            old.write("example.com,all.example", None),
            "<script defer data-domain=\"example.com,all.example\" data-api=\"/api/event\" \
             src=\"/js/script.js\"></script>"
        );
        assert_eq!(
            old.write("a\"><b", Some("n+/=")),
            "<script defer data-domain=\"a&quot;>&lt;b\" data-api=\"/api/event\" src=\"/js/script.js\" \
             nonce=\"n+/=\"></script>"
        );
        assert!(old.inline_hashes().is_empty());
    }

    #[test]
    fn a_script_that_waits_for_init_gets_it() {
        let new = tag("/js/pa-AbC12.js");
        let markup = new.write("example.com", Some("n"));
        assert!(
            markup.starts_with("<script defer data-domain=\"example.com\""),
            "{markup}"
        );
        assert!(
            markup.ends_with("plausible.init({endpoint:\"/api/event\"})</script>"),
            "{markup}"
        );
        assert_eq!(markup.matches(" nonce=\"n\">").count(), 2, "{markup}");
        // By `openssl dgst -sha256 -binary | base64` of the text between the tags.
        let inline = markup.rsplit_once("<script nonce=\"n\">").unwrap().1;
        let inline = inline.strip_suffix("</script>").unwrap();
        let hash = STANDARD.encode(digest::digest(&digest::SHA256, inline.as_bytes()));
        assert_eq!(new.inline_hashes()[0], format!("'sha256-{hash}'"));
        assert_eq!(new.inline_hashes().len(), 3);
    }

    #[test]
    fn the_kind_of_script_is_read_from_its_source() {
        for (source, needs) in [
            ("/js/pa-XXXXX.js", true),
            ("https://stats.example.net/js/pa-x.js?v=1", true),
            ("/js/script.js", false),
            ("https://plausible.io/js/plausible.js", false),
            ("/pa-/script.js", false),
        ] {
            assert_eq!(InjectSettings::needs_init(source), needs, "{source}");
        }
    }

    #[test]
    fn a_pages_own_tracker_is_known_by_its_source_or_domain() {
        let tag = tag("/js/script.js");
        let is = |src: &str| tag.is_in("www.example.com", "example.com", Some(src), None);
        for src in [
            "/js/script.js",
            " /js/script.js?v=2 ",
            "js/script.js",
            "./js/script.js",
            "https://www.example.com/js/script.js",
            "//WWW.example.com/js/script.js",
            "https://plausible.io/js/plausible.js",
            "HTTPS://plausible.io/js/pa-abc.js",
            "//plausible.io/js/script.hash.outbound-links.js",
            "https://stats.example.net:8443/js/script.js",
        ] {
            assert!(is(src), "{src}");
        }
        for src in [
            "",
            "/js/other.js",
            "/js/script.js.map",
            "https://cdn.example.com/js/script.js",
            "https://plausible.io/js/embed.host.js",
            "ftp://plausible.io/js/script.js",
        ] {
            assert!(!is(src), "{src}");
        }
        assert!(tag.is_in("h", "example.com", Some("/s.js"), Some("Example.com")));
        assert!(!tag.is_in("h", "example.com", Some("/s.js"), Some("other.com")));
        assert!(!tag.is_in("h", "example.com", None, None));
    }
}
