//! What an event says beside its name and its page: props, revenue, and whether it is interactive, within
//! Plausible's limits.

use crate::event::json::member;
use crate::plausible::limits::{MAX_PROP_KEY_BYTES, MAX_PROP_VALUE_BYTES, MAX_PROPS, is_amount, is_currency};

/// See the module. What is beyond the limits is cut or left out, and [`loss`](Self::loss) tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Extras {
    props: Vec<(String, Scalar)>,
    revenue: Option<(String, Scalar)>,
    pub(super) interactive: bool,
    /// The first thing that was cut or left out, as the end of a sentence.
    pub(super) loss: Option<&'static str>,
}

/// A value of a prop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Text(String),
    /// A number or a boolean, as JSON writes it.
    Bare(String),
}

impl Default for Extras {
    fn default() -> Self {
        Extras {
            props: Vec::new(),
            revenue: None,
            interactive: true,
            loss: None,
        }
    }
}

impl Extras {
    /// Adds a prop. One with a blank value is none, as at Plausible.
    pub(super) fn add_prop(&mut self, key: &str, value: Scalar) {
        let value = match value {
            Scalar::Text(text) if text.trim().is_empty() => return,
            Scalar::Text(mut text) if text.len() > MAX_PROP_VALUE_BYTES => {
                self.lose("the value of a prop is cut at 2000 bytes");
                text.truncate(text.floor_char_boundary(MAX_PROP_VALUE_BYTES));
                Scalar::Text(text)
            }
            other => other,
        };
        if key.trim().is_empty() || key.len() > MAX_PROP_KEY_BYTES {
            self.lose("a prop whose key is blank or has more than 300 bytes is left out");
        } else if self.props.len() == MAX_PROPS {
            self.lose("props beyond the first 30 are left out");
        } else {
            self.props.push((key.to_owned(), value));
        }
    }

    /// Sets the revenue, in which the currency's case does not matter.
    pub(super) fn set_revenue(&mut self, currency: &str, amount: Scalar) {
        let currency = currency.trim().to_ascii_uppercase();
        let (Scalar::Text(text) | Scalar::Bare(text)) = &amount;
        if !is_currency(&currency) {
            self.lose("the revenue is left out, because its currency is no code of ISO 4217");
        } else if !is_amount(text) {
            self.lose("the revenue is left out, because its amount is no decimal number");
        } else {
            self.revenue = Some((currency, amount));
        }
    }

    /// Notes that something was cut or left out.
    pub(super) fn lose(&mut self, what: &'static str) {
        self.loss.get_or_insert(what);
    }

    /// The JSON members, with a comma before each.
    pub(super) fn members(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (nth, (key, value)) in self.props.iter().enumerate() {
            let before: &[u8] = if nth == 0 { b",\"props\":{\"" } else { b",\"" };
            member(&mut out, before, key.as_bytes());
            value.write(&mut out);
        }
        if !self.props.is_empty() {
            out.push(b'}');
        }
        if let Some((currency, amount)) = &self.revenue {
            member(&mut out, b",\"revenue\":{\"currency\":\"", currency.as_bytes());
            out.extend_from_slice(b",\"amount\"");
            amount.write(&mut out);
            out.push(b'}');
        }
        if !self.interactive {
            out.extend_from_slice(b",\"interactive\":false");
        }
        out
    }
}

impl Scalar {
    /// Appends the value of a member, after the colon.
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Scalar::Text(text) => member(out, b":\"", text.as_bytes()),
            Scalar::Bare(json) => {
                out.push(b':');
                out.extend_from_slice(json.as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn text(text: impl Into<String>) -> Scalar {
        Scalar::Text(text.into())
    }

    /// The members as an object.
    fn object(extras: &Extras) -> Value {
        let members = String::from_utf8(extras.members()).unwrap();
        serde_json::from_str(&format!("{{\"name\":\"x\"{members}}}")).unwrap()
    }

    #[test]
    fn all_of_it_is_json() {
        let mut extras = Extras::default();
        assert_eq!(extras.members(), b"");
        extras.add_prop("plan \"x\"", text("pro\n"));
        extras.add_prop("seats", Scalar::Bare("3".to_owned()));
        extras.add_prop("blank", text(" "));
        extras.set_revenue("eur", text("9.90"));
        extras.interactive = false;
        assert_eq!(
            object(&extras),
            json!({
                "name": "x",
                "props": {"plan \"x\"": "pro\n", "seats": 3},
                "revenue": {"currency": "EUR", "amount": "9.90"},
                "interactive": false,
            })
        );
        assert_eq!(extras.loss, None);
    }

    #[test]
    fn what_is_beyond_the_limits_is_cut_or_left_out() {
        let mut extras = Extras::default();
        extras.add_prop("long", text("a".to_owned() + &"ü".repeat(1_000)));
        assert_eq!(object(&extras)["props"]["long"].as_str().unwrap().len(), 1_999);
        assert_eq!(extras.loss, Some("the value of a prop is cut at 2000 bytes"));

        let mut extras = Extras::default();
        extras.add_prop(&"k".repeat(301), text("x"));
        extras.add_prop("", text("x"));
        assert!(extras.loss.unwrap().contains("key"));
        for n in 0..31 {
            extras.add_prop(&format!("k{n}"), text("x"));
        }
        assert_eq!(object(&extras)["props"].as_object().unwrap().len(), 30);

        for (currency, amount) in [("XYZ", "1"), ("EUR", "ten"), ("EUR", "1,5"), ("EUR", "")] {
            let mut extras = Extras::default();
            extras.set_revenue(currency, text(amount));
            assert_eq!(object(&extras), json!({"name": "x"}), "{currency} {amount}");
            assert!(extras.loss.is_some());
        }
    }
}
