//! `tests/corpus/responses.json`: what apps say, and where two readers of it may differ.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use super::End;

/// The whole corpus.
pub(super) struct Corpus {
    pub(super) cases: Vec<Case>,
    pub(super) differences: Vec<Difference>,
}

/// One app's response, and the request that it answers.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) id: String,
    pub(super) ask: Ask,
    pub(super) bytes: Vec<u8>,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// GET with an `Upgrade`.
    Upgrade,
    /// POST of a body that does not come to its end; the app answers all the same.
    Early,
}

/// Where the two make different things of some cases, and why that is right.
#[derive(Debug)]
pub(super) struct Difference {
    /// Ids; a `*` stands for anything.
    cases: Vec<String>,
    ours: End,
    hyper: End,
    respects: BTreeSet<String>,
}

impl Corpus {
    pub(super) fn read() -> Corpus {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/responses.json");
        let text = fs::read_to_string(file).expect("read the corpus");
        let document: Value = serde_json::from_str(&text).expect("JSON");
        let list = |name: &str| document[name].as_array().expect("a list").iter();
        let mut cases: Vec<Case> = list("cases").map(Case::read).collect();
        cases.extend(list("products").flat_map(product));
        let ids: BTreeSet<&str> = cases.iter().map(|case| case.id.as_str()).collect();
        assert_eq!(ids.len(), cases.len(), "an id is there twice");
        assert!(cases.len() > 150, "{} cases", cases.len());
        let ours = |case: &Case| memchr::memmem::find(&case.bytes, b" 502 ").is_some();
        assert!(!cases.iter().any(ours), "502 is the proxy's own answer");
        Corpus {
            differences: list("differences").map(Difference::read).collect(),
            cases,
        }
    }

    /// Patterns of differences that no case has.
    pub(super) fn unused_patterns(&self) -> impl Iterator<Item = &String> {
        let patterns = self.differences.iter().flat_map(|d| &d.cases);
        patterns.filter(|p| !self.cases.iter().any(|case| matches(p, &case.id)))
    }
}

impl Case {
    fn read(case: &Value) -> Case {
        Case {
            id: string(&case["id"]),
            ask: Ask::read(&case["ask"]),
            bytes: bytes(&case["text"]),
        }
    }
}

/// One case for each choice of one text from each part.
fn product(product: &Value) -> Vec<Case> {
    let mut cases = vec![Case {
        id: string(&product["id"]),
        ask: Ask::read(&product["ask"]),
        bytes: Vec::new(),
    }];
    for part in product["parts"].as_array().expect("a list of parts") {
        let choices = part.as_object().expect("texts by their names");
        cases = cases
            .iter()
            .flat_map(|case| {
                choices.iter().map(|(name, text)| Case {
                    id: format!("{}/{name}", case.id),
                    ask: case.ask,
                    bytes: [case.bytes.clone(), bytes(text)].concat(),
                })
            })
            .collect();
    }
    cases
}

impl Ask {
    fn read(ask: &Value) -> Ask {
        match ask.as_str() {
            None => Ask::Get,
            Some("HEAD") => Ask::Head,
            Some("upgrade") => Ask::Upgrade,
            Some("early") => Ask::Early,
            Some(other) => panic!("nobody can ask {other:?}"),
        }
    }

    pub(super) fn method(self) -> &'static str {
        match self {
            Ask::Get | Ask::Upgrade => "GET",
            Ask::Head => "HEAD",
            Ask::Early => "POST",
        }
    }

    pub(super) fn fields(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Ask::Get | Ask::Head => &[("TE", "trailers")],
            Ask::Upgrade => &[("Connection", "upgrade"), ("Upgrade", "websocket")],
            Ask::Early => &[("Content-Length", "10")],
        }
    }

    /// As much of the request's body as comes.
    pub(super) fn body(self) -> &'static [u8] {
        if self == Ask::Early { b"half" } else { b"" }
    }
}

impl Difference {
    fn read(difference: &Value) -> Difference {
        let strings = |name: &str| difference[name].as_array().expect("a list").iter().map(string);
        let section = string(&difference["section"]);
        assert!(
            section.starts_with("RFC 9110 §") || section.starts_with("RFC 9112 §"),
            "no section: {difference}"
        );
        assert!(!string(&difference["why"]).is_empty(), "no reason: {difference}");
        assert_ne!(
            difference["in"],
            Value::Array(Vec::new()),
            "no difference: {difference}"
        );
        Difference {
            cases: strings("cases").collect(),
            ours: End::read(&difference["ours"]),
            hyper: End::read(&difference["hyper"]),
            respects: strings("in").collect(),
        }
    }

    pub(super) fn names(&self, id: &str) -> bool {
        self.cases.iter().any(|pattern| matches(pattern, id))
    }

    /// Whether this is how two outcomes differ.
    pub(super) fn is(&self, ours: End, hyper: End, respects: &BTreeSet<&str>) -> bool {
        (ours, hyper) == (self.ours, self.hyper) && respects.iter().eq(self.respects.iter())
    }
}

impl End {
    fn read(end: &Value) -> End {
        match end.as_str() {
            Some("refused") => End::Refused,
            Some("cut") => End::Cut,
            Some("whole") => End::Whole,
            other => panic!("no end: {other:?}"),
        }
    }
}

/// A text, or a list of texts and pairs of a text and how often it comes. Each character is a byte.
fn bytes(text: &Value) -> Vec<u8> {
    let plain = |text: &Value| -> Vec<u8> {
        let text = text.as_str().expect("a text");
        text.chars().map(|c| u8::try_from(c).expect("a byte")).collect()
    };
    let Value::Array(parts) = text else {
        return plain(text);
    };
    let part = |part: &Value| match part.as_array().map(Vec::as_slice) {
        Some([text, times]) => plain(text).repeat(times.as_u64().expect("a number") as usize),
        _ => plain(part),
    };
    parts.iter().flat_map(part).collect()
}

fn string(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

fn matches(pattern: &str, id: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == id;
    };
    id.strip_prefix(start)
        .is_some_and(|id| (0..=id.len()).any(|at| id.is_char_boundary(at) && matches(rest, &id[at..])))
}
