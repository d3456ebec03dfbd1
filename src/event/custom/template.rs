//! The values that `[[events]]` takes from a request: texts with `{path}`, `{query.plan}` and the like.

use std::fmt;

use crate::field;

use super::occasion::Occasion;

/// A text in which words in braces stand for parts of the request or its response. `{{` and `}}` are braces
/// themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// The path as sent.
    Path,
    /// The host that the visitor used, without its port.
    Host,
    /// The response's status.
    Status,
    /// The first query parameter with this name, decoded.
    Query(String),
    /// The first line of this field.
    Header(String),
    /// What the path's capture with this place takes, decoded.
    Capture(usize),
}

/// Why a text is not a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace has no partner.
    #[error("a template is written {{path}}, and a brace itself {{{{ or }}}}")]
    Brace,
    /// There is no such word.
    #[error(
        "{{{0}}} is unknown: there are {{path}}, {{host}}, {{status}}, {{query.NAME}}, {{header.NAME}} and \
         {{capture.NAME}}"
    )]
    Word(String),
    /// What follows `header.` is no field name.
    #[error("{{{0}}}: a header's name is wanted, as in {{header.accept-language}}")]
    Header(String),
    /// The field has what nobody else may know.
    #[error("{{{0}}}: this header has secrets, which must not leave")]
    Secret(String),
    /// The path has no such capture.
    #[error("{{capture.{name}}}: the path has {known}; a capture is written as in \"/posts/{{slug}}\"")]
    Capture {
        /// The name.
        name: String,
        /// The captures that there are, in words.
        known: String,
    },
}

/// Fields that prove who somebody is.
const SECRETS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

impl Template {
    /// Reads a template. `captures` are the names of the path's captures, in their order.
    ///
    /// # Errors
    /// See [`TemplateError`].
    pub fn parse(text: &str, captures: &[&str]) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            let after = &rest[at + 1..];
            if let Some(doubled) = after.strip_prefix(brace) {
                literal.push_str(brace);
                rest = doubled;
                continue;
            }
            let (word, after) = after
                .split_once('}')
                .filter(|_| brace == "{")
                .ok_or(TemplateError::Brace)?;
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::read(word, captures)?);
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Template {
            text: text.to_owned(),
            parts,
        })
    }

    /// The text where no word stands for anything, so that it is the same for every request.
    pub fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The length of what is always there, in bytes.
    pub fn least(&self) -> usize {
        let literal = |part: &Part| match part {
            Part::Literal(text) => text.len(),
            _ => 0,
        };
        self.parts.iter().map(literal).sum()
    }

    /// The text for a request. What the request does not have is blank. `captured` is what the path's
    /// captures take.
    pub(super) fn fill(&self, occasion: &Occasion<'_>, captured: &[&[u8]]) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Path => out.push_str(&occasion.shown_path()),
                Part::Host => out.push_str(&host_name(occasion.host.unwrap_or_default())),
                Part::Status => out.push_str(itoa::Buffer::new().format(occasion.response.status)),
                Part::Query(name) => out.push_str(&parameter(occasion.query().unwrap_or_default(), name)),
                Part::Header(name) => {
                    let value = field::first(occasion.request.fields, name).unwrap_or_default();
                    out.push_str(&String::from_utf8_lossy(value));
                }
                Part::Capture(place) => {
                    out.push_str(&decoded(captured.get(*place).copied().unwrap_or_default(), false));
                }
            }
        }
        out
    }
}

impl Part {
    fn read(word: &str, captures: &[&str]) -> Result<Self, TemplateError> {
        let named = word.split_once('.').filter(|(_, name)| !name.is_empty());
        match (word, named) {
            ("path", _) => Ok(Part::Path),
            ("host", _) => Ok(Part::Host),
            ("status", _) => Ok(Part::Status),
            (_, Some(("query", name))) => Ok(Part::Query(name.to_owned())),
            (_, Some(("header", name))) if !field::is_token(name.as_bytes()) => {
                Err(TemplateError::Header(word.to_owned()))
            }
            (_, Some(("header", name))) if SECRETS.iter().any(|secret| field::folds_to(name, secret)) => {
                Err(TemplateError::Secret(word.to_owned()))
            }
            (_, Some(("header", name))) => Ok(Part::Header(name.to_owned())),
            (_, Some(("capture", name))) => {
                let place = captures.iter().position(|capture| *capture == name);
                place.map(Part::Capture).ok_or_else(|| TemplateError::Capture {
                    name: name.to_owned(),
                    known: match captures {
                        [] => "no captures".to_owned(),
                        some => format!("{{{}}}", some.join("}, {")),
                    },
                })
            }
            _ => Err(TemplateError::Word(word.to_owned())),
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A host without its port, in lower case.
fn host_name(host: &str) -> String {
    let end = match host.rfind(']') {
        Some(bracket) => bracket + 1,
        None => host.find(':').unwrap_or(host.len()),
    };
    host[..end].to_ascii_lowercase()
}

/// The first value of a query parameter, decoded; blank if there is none.
fn parameter(query: &str, name: &str) -> String {
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(key, _)| decoded(key.as_bytes(), true) == name)
        .map_or_else(String::new, |(_, value)| decoded(value.as_bytes(), true))
}

/// A text without its escapes (RFC 3986 §2.1); in a form's value a `+` is a blank. Invalid UTF-8 becomes
/// U+FFFD.
fn decoded(text: &[u8], form: bool) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let digit = |at: usize| char::from(*tail.get(at)?).to_digit(16);
        let escaped = match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => Some((high * 16 + low) as u8),
            _ => None,
        };
        out.push(match (escaped, first) {
            (Some(byte), _) => byte,
            (None, b'+') if form => b' ',
            (None, byte) => *byte,
        });
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use httparse::Header;

    use super::*;
    use crate::facts::{RequestFacts, ResponseFacts};

    fn filled(template: &str, host: &str) -> String {
        let fields = [
            Header {
                name: "X-Plan",
                value: b" pro ",
            },
            Header {
                name: "x-plan",
                value: b"second",
            },
        ];
        let response = ResponseFacts::of_status(303);
        let occasion = Occasion {
            mask: &[],
            request: RequestFacts::read("GET", "/p%20q?a=1+2&b%2B=%C3%BC%&empty&a=3", &fields),
            https: true,
            host: Some(host),
            client: None,
            domain: None,
            response: &response,
        };
        let template = Template::parse(template, &["slug", "rest"]).unwrap();
        template.fill(&occasion, &[b"caf%C3%A9+x", b"y"])
    }

    #[test]
    fn words_stand_for_parts_of_the_request() {
        for (template, text) in [
            ("", ""),
            ("plain", "plain"),
            ("{{{path}}}", "{/p%20q}"),
            ("{path}", "/p%20q"),
            ("{host}!", "example.com!"),
            ("{status}", "303"),
            ("{query.a}", "1 2"),
            ("{query.b+}", "ü%"),
            ("{query.empty}-{query.none}", "-"),
            ("{header.X-PLAN}", "pro"),
            ("{header.x-none}", ""),
            ("{capture.slug}/{capture.rest}", "café+x/y"),
        ] {
            assert_eq!(filled(template, "Example.com:8443"), text, "{template}");
        }
        assert_eq!(filled("{host}", "[2001:DB8::1]:80"), "[2001:db8::1]");
    }

    #[test]
    fn what_is_no_template_says_what_would_be() {
        let word = |word: &str| TemplateError::Word(word.to_owned());
        for (text, error) in [
            ("{", TemplateError::Brace),
            ("a}", TemplateError::Brace),
            ("{path", TemplateError::Brace),
            ("{}", word("")),
            ("{url}", word("url")),
            ("{query}", word("query")),
            ("{query.}", word("query.")),
            ("{cookie.a}", word("cookie.a")),
            ("{header.a b}", TemplateError::Header("header.a b".to_owned())),
            (
                "{header.Cookie}",
                TemplateError::Secret("header.Cookie".to_owned()),
            ),
        ] {
            assert_eq!(Template::parse(text, &[]), Err(error), "{text}");
        }
        let missing = |captures: &[&str]| Template::parse("{capture.id}", captures).unwrap_err().to_string();
        assert_eq!(
            missing(&[]),
            "{capture.id}: the path has no captures; a capture is written as in \"/posts/{slug}\""
        );
        assert!(missing(&["a", "b"]).contains("has {a}, {b};"));
    }

    #[test]
    fn what_is_the_same_for_every_request_is_known() {
        let template = |text| Template::parse(text, &[]).unwrap();
        assert_eq!(template("{{a}}").literal(), Some("{a}"));
        assert_eq!(template("").literal(), Some(""));
        assert_eq!(template("a{path}").literal(), None);
        assert_eq!(template("ab{path}c").least(), 3);
        assert_eq!(template("ab{path}c").to_string(), "ab{path}c");
    }
}
