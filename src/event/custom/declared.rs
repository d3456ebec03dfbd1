//! The app's own words: `Gatecount-Event` and `Gatecount-Page` as its response has them.

use httparse::Header;
use serde_json::{Deserializer, Map, Value};

use crate::field;

use super::complaint::{Complaint, Subject};
use super::extras::{Extras, Scalar};
use super::name::check_name;

/// All that one response says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct AppWords {
    pub(super) page: Option<PageWord>,
    pub(super) events: Vec<DeclaredEvent>,
    /// Of what was not understood. Nothing of it is used.
    pub(super) complaints: Vec<Complaint<'static>>,
}

/// What is said about the response's page view.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PageWord {
    /// There is none.
    Off,
    /// There is one.
    Amended { url: Option<String>, extras: Extras },
}

/// An event by this visitor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DeclaredEvent {
    pub(super) name: String,
    pub(super) url: Option<String>,
    pub(super) extras: Extras,
}

impl AppWords {
    /// Reads what the fields of a response say.
    pub(super) fn read(fields: &[Header<'_>]) -> Self {
        let mut words = AppWords::default();
        for line in fields {
            if line.name.eq_ignore_ascii_case("gatecount-event") {
                words.add_events(line.value);
            } else if line.name.eq_ignore_ascii_case("gatecount-page") {
                words.add_page(line.value);
            } else if field::folds_to_prefix(line.name, "gatecount-") {
                let why = "there are Gatecount-Event and Gatecount-Page, and no other name";
                words.complain(Subject::OtherField, why);
            }
        }
        words
    }

    fn add_events(&mut self, value: &[u8]) {
        let mut objects = Objects(value).peekable();
        if objects.peek().is_none() {
            self.complain(Subject::Event, NO_OBJECT);
        }
        for object in objects {
            match object.and_then(DeclaredEvent::read) {
                Ok(event) => self.events.push(event),
                Err(why) => self.complain(Subject::Event, why),
            }
        }
    }

    /// Several layers of an app may speak: one "off" is enough, else the first word counts.
    fn add_page(&mut self, value: &[u8]) {
        match PageWord::read(value) {
            Ok(PageWord::Off) => self.page = Some(PageWord::Off),
            Ok(_) if self.page.is_some() => self.complain(Subject::Page, "there is another one before it"),
            Ok(word) => self.page = Some(word),
            Err(why) => self.complain(Subject::Page, why),
        }
    }

    fn complain(&mut self, subject: Subject<'static>, why: &'static str) {
        self.complaints.push(Complaint::malformed(subject, why));
    }
}

impl PageWord {
    fn read(value: &[u8]) -> Result<Self, &'static str> {
        let is_off = |word: &[u8]| word.eq_ignore_ascii_case(b"off");
        // Where several lines were joined, one of them is enough.
        if field::members(value).next().is_some_and(is_off) {
            return Ok(PageWord::Off);
        }
        let mut objects = Objects(value);
        let object = match (objects.next(), objects.next()) {
            (Some(Ok(object)), None) => object,
            (Some(Ok(_)), Some(_)) => return Err("it has more than one object"),
            _ => return Err("it is neither off nor a JSON object"),
        };
        let (mut url, mut extras) = (None, Extras::default());
        for (key, value) in object {
            match key.as_str() {
                "url" => url = text(value, "its url is no text")?,
                "props" => add_props(&mut extras, value)?,
                _ => extras.lose("it has members other than url and props"),
            }
        }
        Ok(PageWord::Amended { url, extras })
    }
}

impl DeclaredEvent {
    fn read(object: Map<String, Value>) -> Result<Self, &'static str> {
        let (mut name, mut url, mut extras) = (String::new(), None, Extras::default());
        for (key, value) in object {
            match (key.as_str(), value) {
                ("name", Value::String(text)) => name = text,
                ("name", Value::Number(number)) if !number.is_f64() => name = number.to_string(),
                ("name", _) => return Err("its name is no text"),
                ("url", value) => url = text(value, "its url is no text")?,
                ("props", value) => add_props(&mut extras, value)?,
                ("revenue" | "interactive", Value::Null) => {}
                ("revenue", value) => set_revenue(&mut extras, &value),
                ("interactive", Value::Bool(interactive)) => extras.interactive = interactive,
                ("interactive", _) => return Err("interactive is neither true nor false"),
                _ => extras.lose("it has members other than name, props, revenue, interactive and url"),
            }
        }
        check_name(&name)?;
        Ok(DeclaredEvent { name, url, extras })
    }
}

/// A text; a null is none.
fn text(value: Value, why: &'static str) -> Result<Option<String>, &'static str> {
    match value {
        Value::String(text) => Ok(Some(text)),
        Value::Null => Ok(None),
        _ => Err(why),
    }
}

fn add_props(extras: &mut Extras, props: Value) -> Result<(), &'static str> {
    let props = match props {
        Value::Object(props) => props,
        Value::Null => return Ok(()),
        _ => return Err("its props are no JSON object"),
    };
    for (key, value) in props {
        match value {
            Value::String(text) => extras.add_prop(&key, Scalar::Text(text)),
            Value::Number(_) | Value::Bool(_) => extras.add_prop(&key, Scalar::Bare(value.to_string())),
            Value::Null => {}
            Value::Array(_) | Value::Object(_) => {
                extras.lose("a prop whose value is a list or an object is left out");
            }
        }
    }
    Ok(())
}

fn set_revenue(extras: &mut Extras, revenue: &Value) {
    let amount = match revenue.get("amount") {
        Some(Value::String(text)) => Scalar::Text(text.clone()),
        Some(Value::Number(number)) => Scalar::Bare(number.to_string()),
        _ => return extras.lose("the revenue is left out, because it has no amount"),
    };
    match revenue.get("currency").and_then(Value::as_str) {
        Some(currency) => extras.set_revenue(currency, amount),
        None => extras.lose("the revenue is left out, because it has no currency"),
    }
}

const NO_OBJECT: &str = "it is no JSON object";

/// The JSON objects of a field's value, where several may be joined by commas (RFC 9110 §5.3).
struct Objects<'a>(&'a [u8]);

impl Iterator for Objects<'_> {
    type Item = Result<Map<String, Value>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        while let [b' ' | b'\t' | b',', rest @ ..] = self.0 {
            self.0 = rest;
        }
        if self.0.is_empty() {
            return None;
        }
        let mut values = Deserializer::from_slice(self.0).into_iter::<Value>();
        let value = values.next();
        let end = values.byte_offset();
        // Where the one value ends is unknown if it is none, so the rest is lost with it.
        self.0 = match &value {
            Some(Ok(_)) => &self.0[end..],
            _ => &[],
        };
        match value {
            Some(Ok(Value::Object(object))) => Some(Ok(object)),
            _ => Some(Err(NO_OBJECT)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[(&str, &str)]) -> (AppWords, Vec<String>) {
        let field = |(name, value): &(&'static str, &'static str)| Header {
            name,
            value: value.as_bytes(),
        };
        let lines: Vec<(&'static str, &'static str)> = lines
            .iter()
            .map(|(name, value)| (&*(*name).to_owned().leak(), &*(*value).to_owned().leak()))
            .collect();
        let fields: Vec<Header<'static>> = lines.iter().map(field).collect();
        let mut words = AppWords::read(&fields);
        let complaints = std::mem::take(&mut words.complaints);
        (words, complaints.iter().map(ToString::to_string).collect())
    }

    fn names(words: &AppWords) -> Vec<&str> {
        words.events.iter().map(|event| event.name.as_str()).collect()
    }

    #[test]
    fn events_come_on_lines_of_their_own_or_joined() {
        let (words, complaints) = read(&[
            ("Gatecount-Event", r#"{"name": "Signup"}"#),
            ("content-type", "text/html"),
            (
                "gatecount-event",
                r#"{"name":"A, \"b\""},{"name": 404} , {"name":"C"}"#,
            ),
        ]);
        assert_eq!(names(&words), ["Signup", "A, \"b\"", "404", "C"]);
        assert_eq!((words.page, complaints), (None, Vec::new()));
    }

    #[test]
    fn an_event_has_props_revenue_interactive_and_url() {
        let (words, complaints) = read(&[(
            "Gatecount-Event",
            r#"{"name": "Sale", "url": "/thanks", "props": {"plan": "pro", "seats": 3, "trial": false, "none": null},
                "revenue": {"currency": "EUR", "amount": 9.5}, "interactive": false}"#,
        )]);
        let event = &words.events[0];
        assert_eq!(event.url.as_deref(), Some("/thanks"));
        assert_eq!(
            String::from_utf8(event.extras.members()).unwrap(),
            ",\"props\":{\"plan\":\"pro\",\"seats\":3,\"trial\":false},\
             \"revenue\":{\"currency\":\"EUR\",\"amount\":9.5},\"interactive\":false"
        );
        assert_eq!((event.extras.loss, complaints), (None, Vec::new()));
    }

    #[test]
    fn a_page_is_off_or_amended_and_off_wins() {
        let amended = r#"{"url": "/a", "props": {"author": "Ann"}}"#;
        let (words, complaints) = read(&[("Gatecount-Page", amended)]);
        let Some(PageWord::Amended { url, extras }) = words.page else {
            panic!("{words:?}")
        };
        assert_eq!(url.as_deref(), Some("/a"));
        assert_eq!(extras.members(), br#","props":{"author":"Ann"}"#);
        assert!(complaints.is_empty());

        let (words, complaints) = read(&[("Gatecount-Page", amended), ("Gatecount-Page", amended)]);
        assert!(matches!(words.page, Some(PageWord::Amended { .. })));
        assert_eq!(complaints.len(), 1);
        for lines in [
            &[("Gatecount-Page", " Off\t")][..],
            &[("Gatecount-Page", "off, {\"url\": \"/a\"}")],
            &[("Gatecount-Page", amended), ("Gatecount-Page", "off")],
            &[("Gatecount-Page", "off"), ("Gatecount-Page", amended)],
        ] {
            assert_eq!(read(lines).0.page, Some(PageWord::Off), "{lines:?}");
        }
    }

    #[test]
    fn nothing_of_what_is_malformed_is_used() {
        let deep = format!(
            "{{\"name\":\"x\",\"props\":{{\"a\":{}1{}}}}}",
            "[".repeat(500),
            "]".repeat(500)
        );
        let long = format!("{{\"name\":\"{}\"}}", "x".repeat(121));
        for (name, value) in [
            ("Gatecount-Event", ""),
            ("Gatecount-Event", "Signup"),
            ("Gatecount-Event", "[]"),
            ("Gatecount-Event", "{\"name\": \"x\""),
            ("Gatecount-Event", "{}"),
            ("Gatecount-Event", "{\"name\": \" \"}"),
            ("Gatecount-Event", "{\"name\": 1.5}"),
            ("Gatecount-Event", "{\"name\": [\"x\"]}"),
            ("Gatecount-Event", "{\"name\": \"pageview\"}"),
            ("Gatecount-Event", "{\"name\": \"engagement\"}"),
            ("Gatecount-Event", "{\"name\": \"x\", \"props\": [1]}"),
            ("Gatecount-Event", "{\"name\": \"x\", \"url\": 7}"),
            ("Gatecount-Event", "{\"name\": \"x\", \"interactive\": \"no\"}"),
            ("Gatecount-Event", &deep),
            ("Gatecount-Event", &long),
            ("Gatecount-Page", ""),
            ("Gatecount-Page", "on"),
            ("Gatecount-Page", "\"off\""),
            ("Gatecount-Page", "{} {}"),
            ("Gatecount-Page", "{\"url\": 7}"),
            ("Gatecount-Events", "{\"name\": \"x\"}"),
            ("Gatecount_Event", "{\"name\": \"x\"}"),
        ] {
            let (words, complaints) = read(&[(name, value)]);
            assert_eq!(words, AppWords::default(), "{name}: {value}");
            assert_eq!(complaints.len(), 1, "{name}: {value}");
            assert!(complaints[0].contains(" is not used: "), "{complaints:?}");
        }
    }

    #[test]
    fn one_that_is_malformed_leaves_those_before_it() {
        let (words, complaints) = read(&[("Gatecount-Event", r#"{"name": "A"}, nonsense, {"name": "B"}"#)]);
        assert_eq!((names(&words), complaints.len()), (vec!["A"], 1));
    }

    #[test]
    fn what_cannot_be_sent_is_left_out_and_noted() {
        for value in [
            r#"{"name": "x", "prop": {"a": 1}}"#,
            r#"{"name": "x", "props": {"a": [1]}}"#,
            r#"{"name": "x", "revenue": {"currency": "EUR"}}"#,
            r#"{"name": "x", "revenue": {"amount": 1}}"#,
            r#"{"name": "x", "revenue": {"currency": "EUR", "amount": 1e30}}"#,
            r#"{"name": "x", "revenue": 7}"#,
        ] {
            let (words, complaints) = read(&[("Gatecount-Event", value)]);
            let extras = &words.events[0].extras;
            assert_eq!(extras.members(), b"", "{value}");
            assert!(complaints.is_empty() && extras.loss.is_some(), "{value}");
        }
    }
}
