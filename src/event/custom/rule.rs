//! One rule of `[[events]]`: which requests mean something, and what.

use std::fmt;
use std::str::FromStr;

use crate::page::PathPattern;

use super::extras::{Extras, Scalar};
use super::occasion::Occasion;
use super::template::Template;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomRule {
    /// The event's name, one that [`check_name`](super::check_name) accepts.
    pub name: String,
    /// The methods; none: all that ask for something to be done or shown, so not HEAD, OPTIONS and TRACE.
    pub methods: Vec<String>,
    /// The path.
    pub path: PathPattern,
    /// The response's status is one of these.
    pub statuses: Vec<StatusPattern>,
    /// Keys and values.
    pub props: Vec<(String, Template)>,
    /// What it was worth.
    pub revenue: Option<RevenueTemplate>,
    /// Whether the event ends a bounce.
    pub interactive: bool,
}

/// The revenue of a rule's event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevenueTemplate {
    /// An ISO 4217 code.
    pub currency: Template,
    /// A decimal number.
    pub amount: Template,
}

impl CustomRule {
    /// Whether this request with this response is one of the rule's.
    pub fn takes(&self, method: &str, path: &str, status: u16) -> bool {
        let method = match self.methods.as_slice() {
            [] => !matches!(method, "HEAD" | "OPTIONS" | "TRACE"),
            some => some.iter().any(|m| m == method),
        };
        method && self.statuses.iter().any(|s| s.takes(status)) && self.path.matches(path)
    }

    /// What its event says about this request.
    pub(super) fn extras(&self, occasion: &Occasion<'_>) -> Extras {
        let captured = self.path.capture(occasion.request.path());
        let fill = |template: &Template| template.fill(occasion, &captured);
        let mut extras = Extras::default();
        extras.interactive = self.interactive;
        for (key, value) in &self.props {
            extras.add_prop(key, Scalar::Text(fill(value)));
        }
        if let Some(revenue) = &self.revenue {
            let amount = fill(&revenue.amount).trim().to_owned();
            extras.set_revenue(&fill(&revenue.currency), Scalar::Text(amount));
        }
        extras
    }
}

/// As in `"Signup" (POST /signup/{plan}, 303)`.
impl fmt::Display for CustomRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} (", self.name)?;
        if !self.methods.is_empty() {
            write!(f, "{} ", self.methods.join("/"))?;
        }
        write!(f, "{}", self.path)?;
        for status in &self.statuses {
            write!(f, ", {status}")?;
        }
        f.write_str(")")
    }
}

/// A status, or a class of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusPattern {
    /// This one.
    Exact(u16),
    /// Those that begin with this digit.
    Class(u16),
}

/// Why a text is not a [`StatusPattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a status from \"200\" to \"599\" or a class such as \"2xx\" is wanted")]
pub struct StatusError;

impl StatusPattern {
    fn takes(self, status: u16) -> bool {
        match self {
            StatusPattern::Exact(exact) => status == exact,
            StatusPattern::Class(class) => status / 100 == class,
        }
    }
}

impl FromStr for StatusPattern {
    type Err = StatusError;

    fn from_str(text: &str) -> Result<Self, StatusError> {
        let pattern = match text.as_bytes() {
            [class @ b'2'..=b'5', b'x' | b'X', b'x' | b'X'] => {
                Some(StatusPattern::Class(u16::from(class - b'0')))
            }
            // The one interim status that ends a request: it switches protocols.
            [b'1', b'0', b'1'] | [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9'] => {
                text.parse().ok().map(StatusPattern::Exact)
            }
            _ => None,
        };
        pattern.ok_or(StatusError)
    }
}

impl fmt::Display for StatusPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StatusPattern::Exact(status) => write!(f, "{status}"),
            StatusPattern::Class(class) => write!(f, "{class}xx"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(methods: &[&str], path: &str, statuses: &[&str]) -> CustomRule {
        CustomRule {
            name: "Signup".to_owned(),
            methods: methods.iter().map(|m| (*m).to_owned()).collect(),
            path: path.parse().unwrap(),
            statuses: statuses.iter().map(|s| s.parse().unwrap()).collect(),
            props: Vec::new(),
            revenue: None,
            interactive: true,
        }
    }

    #[test]
    fn method_path_and_status_must_all_match() {
        let signup = rule(&["POST", "PUT"], "/signup/*", &["303", "2xx"]);
        for (method, path, status, takes) in [
            ("POST", "/signup/a", 303, true),
            ("PUT", "/signup/a", 204, true),
            ("GET", "/signup/a", 303, false),
            ("post", "/signup/a", 303, false),
            ("POST", "/signup", 303, false),
            ("POST", "/signup/a", 302, false),
            ("POST", "/signup/a", 502, false),
        ] {
            assert_eq!(
                signup.takes(method, path, status),
                takes,
                "{method} {path} {status}"
            );
        }
        let any = rule(&[], "/**", &["2xx"]);
        for (method, takes) in [
            ("GET", true),
            ("DELETE", true),
            ("HEAD", false),
            ("OPTIONS", false),
        ] {
            assert_eq!(any.takes(method, "/", 200), takes, "{method}");
        }
    }

    #[test]
    fn a_status_is_three_digits_or_a_class() {
        for text in ["200", "101", "599", "4xx"] {
            assert_eq!(text.parse::<StatusPattern>().unwrap().to_string(), text);
        }
        for text in ["", "20", "2000", "100", "600", "xx", "6xx", "2x", " 200", "ok"] {
            assert_eq!(text.parse::<StatusPattern>(), Err(StatusError), "{text}");
        }
    }
}
