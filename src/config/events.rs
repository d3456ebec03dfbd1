//! `[[events]]`: requests that mean something.

use std::fmt::Display;

use crate::{
    event::custom::{CustomRule, RevenueTemplate, StatusPattern, Template, check_name},
    field,
    page::PathPattern,
    plausible::limits::{MAX_PROP_KEY_BYTES, MAX_PROP_VALUE_BYTES, MAX_PROPS, is_amount, is_currency},
};

use super::{
    file::RawEvent,
    keys::{self, ValueKind},
    mistake::{Mistake, Mistakes, Origin},
    parse::ParseResult,
    reader::{KeyReader, each},
    value::{self, Located, RawValue, TypedValue},
};

/// One event as `check` shows it: its keys with their values as TOML.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ResolvedEvent {
    pub(super) settings: Vec<(&'static str, String)>,
    pub(super) origin: Origin,
}

/// The rules, in the order of the file.
pub(super) fn resolve(r: &mut KeyReader<'_>) -> (Vec<CustomRule>, Vec<ResolvedEvent>) {
    let tables = std::mem::take(&mut r.raw.events);
    tables
        .into_iter()
        .filter_map(|table| {
            EventTable {
                table,
                mistakes: &mut r.mistakes,
            }
            .resolve()
        })
        .unzip()
}

/// One table, and where its mistakes go.
struct EventTable<'r> {
    table: RawEvent,
    mistakes: &'r mut Mistakes,
}

impl EventTable<'_> {
    /// `None` if something that every event has is missing or wrong.
    fn resolve(mut self) -> Option<(CustomRule, ResolvedEvent)> {
        let name = self.required("name", "name = \"Signup\"", name);
        let path = self.required("path", "path = \"/signup\"", |text| {
            text.parse::<PathPattern>().map_err(display)
        });
        let methods = self.list("method", method).unwrap_or_default();
        let statuses = self.list("status", |text| text.parse::<StatusPattern>().map_err(display));
        let statuses = statuses.unwrap_or_else(|| vec![StatusPattern::Class(2), StatusPattern::Class(3)]);
        let captures: Vec<&str> = path.iter().flat_map(PathPattern::names).collect();
        let props = self.props(&captures);
        let revenue = self.revenue(&captures);
        let interactive = self.interactive();
        let rule = CustomRule {
            name: name?,
            methods,
            path: path?,
            statuses,
            props,
            revenue,
            interactive,
        };
        let resolved = ResolvedEvent {
            settings: settings(&rule),
            origin: self.table.origin,
        };
        Some((rule, resolved))
    }

    fn take(&mut self, name: &str) -> Option<Located<RawValue>> {
        let at = self.table.keys.iter().position(|(key, _)| key == name)?;
        Some(self.table.keys.swap_remove(at).1)
    }

    fn wrong(&mut self, key: &str, located: &Located<RawValue>, problem: impl Into<String>) {
        let mistake = Mistake::value(&located.origin, &path_of(key), located.value.quoted(), problem);
        self.mistakes.push(mistake);
    }

    /// The value as a text.
    fn text<T>(
        &mut self,
        key: &str,
        located: &Located<RawValue>,
        parse: impl Fn(&str) -> ParseResult<T>,
    ) -> Option<T> {
        let outcome = match &located.value {
            RawValue::Text(text) => parse(text),
            _ => Err(ValueKind::Text.wanted().to_owned()),
        };
        outcome.map_err(|problem| self.wrong(key, located, problem)).ok()
    }

    fn required<T>(&mut self, key: &str, example: &str, parse: impl Fn(&str) -> ParseResult<T>) -> Option<T> {
        let Some(located) = self.take(key) else {
            let problem = format!("missing: each event has {example}");
            self.mistakes
                .push(Mistake::key(&self.table.origin, &path_of(key), problem));
            return None;
        };
        self.text(key, &located, parse)
    }

    /// A text or a list of texts, with at least one item.
    fn list<T>(&mut self, key: &str, parse: impl Fn(&str) -> ParseResult<T>) -> Option<Vec<T>> {
        let located = self.take(key)?;
        let path = path_of(key);
        let outcome = match located.typed(ValueKind::TextOrList) {
            Ok(TypedValue::List(items)) if items.is_empty() => Err(vec![Mistake::value(
                &located.origin,
                &path,
                "[]",
                "at least one is wanted",
            )]),
            Ok(TypedValue::List(items)) => each(&path, &items, |item, _| parse(item)),
            Ok(_) => Err(Vec::new()),
            Err((part, wanted)) => Err(vec![Mistake::value(&part.origin, &path, part.value, wanted)]),
        };
        outcome.map_err(|found| self.mistakes.extend(found)).ok()
    }

    fn props(&mut self, captures: &[&str]) -> Vec<(String, Template)> {
        let Some(located) = self.take("props") else {
            return Vec::new();
        };
        let RawValue::Table(entries) = &located.value else {
            let problem = "a table is wanted, such as { plan = \"{query.plan}\" }";
            self.wrong("props", &located, problem);
            return Vec::new();
        };
        if entries.len() > MAX_PROPS {
            let problem = format!("{} props; Plausible takes at most {MAX_PROPS}", entries.len());
            self.wrong("props", &located, problem);
        }
        let mut props = Vec::new();
        for (key, value) in entries {
            let path = format!("props.{key}");
            if key.trim().is_empty() || key.len() > MAX_PROP_KEY_BYTES {
                let problem = format!("a key from 1 to {MAX_PROP_KEY_BYTES} bytes is wanted");
                self.wrong("props", value, problem);
            } else if let Some(template) = self.text(&path, value, |text| prop(text, captures)) {
                props.push((key.clone(), template));
            }
        }
        props
    }

    fn revenue(&mut self, captures: &[&str]) -> Option<RevenueTemplate> {
        const EXAMPLE: &str = "{ currency = \"EUR\", amount = \"{query.total}\" }";
        let located = self.take("revenue")?;
        let RawValue::Table(entries) = &located.value else {
            self.wrong(
                "revenue",
                &located,
                format!("a table is wanted, such as {EXAMPLE}"),
            );
            return None;
        };
        let (mut currency, mut amount) = (None, None);
        for (key, value) in entries {
            match key.as_str() {
                "currency" => {
                    currency = self.text("revenue.currency", value, |text| parse_currency(text, captures));
                }
                "amount" => {
                    let value = number_as_text(value);
                    amount = self.text("revenue.amount", &value, |text| parse_amount(text, captures));
                }
                _ => {
                    let path = path_of(&format!("revenue.{key}"));
                    let problem = format!("no such key; revenue is {EXAMPLE}");
                    self.mistakes.push(Mistake::key(&value.origin, &path, problem));
                }
            }
        }
        for (key, name) in [("revenue.currency", "currency"), ("revenue.amount", "amount")] {
            if !entries.iter().any(|(key, _)| key == name) {
                let problem = format!("missing: revenue is {EXAMPLE}");
                self.mistakes
                    .push(Mistake::key(&located.origin, &path_of(key), problem));
            }
        }
        Some(RevenueTemplate {
            currency: currency?,
            amount: amount?,
        })
    }

    fn interactive(&mut self) -> bool {
        match self.take("interactive") {
            None => true,
            Some(Located {
                value: RawValue::Boolean(interactive),
                ..
            }) => interactive,
            Some(other) => {
                self.wrong("interactive", &other, ValueKind::Boolean.wanted());
                true
            }
        }
    }
}

fn path_of(key: &str) -> String {
    format!("{}.{key}", keys::EVENTS)
}

fn name(text: &str) -> ParseResult<String> {
    if text.contains(['{', '}']) {
        return Err("a name is the same for every request: what differs belongs into props".to_owned());
    }
    check_name(text)
        .map(|()| text.to_owned())
        .map_err(|why| format!("a name of at most 120 characters is wanted: {why}"))
}

fn method(text: &str) -> ParseResult<String> {
    let capitals = text.to_ascii_uppercase();
    match text {
        "HEAD" => Err("HEAD shows nothing and does nothing, so it is never counted".to_owned()),
        _ if !field::is_token(text.as_bytes()) => Err("a method is wanted, such as \"POST\"".to_owned()),
        _ if text != capitals => Err(format!("methods have capitals: did you mean \"{capitals}\"?")),
        _ => Ok(capitals),
    }
}

fn prop(text: &str, captures: &[&str]) -> ParseResult<Template> {
    let template = Template::parse(text, captures).map_err(display)?;
    match template.least() {
        0..=MAX_PROP_VALUE_BYTES => Ok(template),
        more => Err(format!(
            "{more} bytes; Plausible takes at most {MAX_PROP_VALUE_BYTES}"
        )),
    }
}

fn parse_currency(text: &str, captures: &[&str]) -> ParseResult<Template> {
    let template = Template::parse(text, captures).map_err(display)?;
    let Some(code) = template.literal().filter(|code| !is_currency(code)) else {
        return Ok(template);
    };
    let capitals = code.to_ascii_uppercase();
    let hint = if is_currency(&capitals) {
        format!("; did you mean \"{capitals}\"?")
    } else {
        String::new()
    };
    Err(format!("a currency of ISO 4217 is wanted, such as \"EUR\"{hint}"))
}

fn parse_amount(text: &str, captures: &[&str]) -> ParseResult<Template> {
    let template = Template::parse(text, captures).map_err(display)?;
    match template.literal() {
        Some(amount) if !is_amount(amount) => Err(
            "a decimal number is wanted, such as \"9.90\", or a template such as \"{query.total}\""
                .to_owned(),
        ),
        _ => Ok(template),
    }
}

/// A number without quotes is an amount too.
fn number_as_text(located: &Located<RawValue>) -> Located<RawValue> {
    let value = match &located.value {
        RawValue::Integer(Ok(number)) => RawValue::Text(number.to_string()),
        RawValue::Other(number) if is_amount(number) => RawValue::Text(number.clone()),
        other => other.clone(),
    };
    Located {
        value,
        origin: located.origin.clone(),
    }
}

/// The keys of a rule as TOML.
fn settings(rule: &CustomRule) -> Vec<(&'static str, String)> {
    let mut settings = vec![("name", value::quote(&rule.name))];
    if !rule.methods.is_empty() {
        settings.push(("method", value::list(rule.methods.iter().map(String::as_str))));
    }
    settings.push(("path", value::quote(&rule.path.to_string())));
    let statuses: Vec<String> = rule.statuses.iter().map(ToString::to_string).collect();
    settings.push(("status", value::list(statuses.iter().map(String::as_str))));
    if !rule.props.is_empty() {
        let props = rule
            .props
            .iter()
            .map(|(key, template)| (key.as_str(), template.to_string()));
        settings.push(("props", value::table(props)));
    }
    if let Some(revenue) = &rule.revenue {
        let entries = [
            ("currency", revenue.currency.to_string()),
            ("amount", revenue.amount.to_string()),
        ];
        settings.push(("revenue", value::table(entries)));
    }
    settings.push(("interactive", rule.interactive.to_string()));
    settings
}

fn display(error: impl Display) -> String {
    error.to_string()
}
