//! The JSON schema of the file, for editors.
//!
//! It uses what drafts 4 to 7 have in common: Taplo, and with it the editors' TOML extensions, read no more.

use serde_json::{Map, Value, json};

use super::{
    key::{Accepted, Form},
    keys::{self, Key, RepeatedTable, ValueKind, variable},
};

/// The schema.
pub fn schema() -> Value {
    let mut tables = Map::new();
    for table in keys::single_tables() {
        let content = object(keys::about_table(table), keys::in_table(table), 0);
        match table.split_once('.') {
            None => tables.insert(table.to_owned(), content),
            Some((outer, inner)) => put(&mut tables, outer, inner, content),
        };
    }
    for table in keys::REPEATED {
        let content = repeated(table);
        match table.name.rsplit_once('.') {
            None => tables.insert(table.name.to_owned(), content),
            Some((outer, inner)) => put(&mut tables, outer, inner, content),
        };
    }
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "gatecount's configuration",
        "description": "What gatecount reads with --config. Each key can be set in the environment as well.",
        "type": "object",
        "properties": tables,
        "additionalProperties": false,
    })
}

/// Puts a table into another, `listen.tls` by its dotted path.
fn put(tables: &mut Map<String, Value>, outer: &str, name: &str, content: Value) -> Option<Value> {
    let pointer = outer.split('.').fold(String::new(), |at, part| {
        let inner = if at.is_empty() { "" } else { "/properties" };
        format!("{at}{inner}/{part}")
    });
    let mut all = Value::Object(std::mem::take(tables));
    let replaced = all
        .pointer_mut(&pointer)
        .and_then(|table| table["properties"].as_object_mut())
        .and_then(|properties| properties.insert(name.to_owned(), content));
    if let Value::Object(all) = all {
        *tables = all;
    }
    replaced
}

/// A table of these keys, the first `required` of which have to be there.
fn object<'k>(about: &str, keys: impl Iterator<Item = &'k Key>, required: usize) -> Value {
    let mut properties = Map::new();
    for key in keys {
        properties.insert(key.name().to_owned(), property(key));
    }
    let mut table = json!({
        "description": about,
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if required > 0 {
        let names: Vec<&String> = table["properties"]
            .as_object()
            .into_iter()
            .flat_map(Map::keys)
            .collect();
        let names = json!(names[..required]);
        table["required"] = names;
    }
    table
}

fn repeated(table: &RepeatedTable) -> Value {
    json!({
        "description": table.about,
        "type": "array",
        "items": object(table.about, table.keys.iter(), table.required),
    })
}

fn property(key: &Key) -> Value {
    let mut property = content(key);
    // A key of a table that occurs any number of times has no variable.
    property["description"] = if keys::find(key.path).is_some() {
        json!(format!("{} Environment: {}.", key.about, variable(key.path)))
    } else {
        json!(key.about)
    };
    if let Some(default) = key.default.and_then(to_json) {
        property["default"] = default;
    }
    property
}

fn content(key: &Key) -> Value {
    let text = || text(key.accepted);
    // An empty list is a mistake where there is no default.
    let list = || match key.default {
        None => json!({"type": "array", "items": text(), "minItems": 1}),
        Some(_) => json!({"type": "array", "items": text()}),
    };
    match key.kind {
        ValueKind::Text => text(),
        ValueKind::Boolean => json!({"type": "boolean"}),
        ValueKind::Integer => {
            let range = key.integers();
            json!({"type": "integer", "minimum": range.start(), "maximum": range.end()})
        }
        ValueKind::List => list(),
        ValueKind::Size => json!({"anyOf": [text(), {"type": "integer", "minimum": 0}]}),
        ValueKind::TextOrList => json!({"anyOf": [text(), list()]}),
        ValueKind::BooleanOrList => json!({"anyOf": [{"type": "boolean"}, list()]}),
        ValueKind::Table => entries(key.accepted),
    }
}

fn text(accepted: Accepted) -> Value {
    match accepted {
        Accepted::Words(words) => json!({"type": "string", "enum": words}),
        Accepted::Form(Form::Something) => json!({"type": "string", "minLength": 1}),
        Accepted::Form(form) => json!({"type": "string", "pattern": form.pattern()}),
        Accepted::Any | Accepted::Range(..) | Accepted::Names(_) => json!({"type": "string"}),
    }
}

/// A table of templates.
fn entries(accepted: Accepted) -> Value {
    match accepted {
        Accepted::Names(names) if !names.is_empty() => {
            let properties: Map<String, Value> = names
                .iter()
                .map(|name| ((*name).to_owned(), json!({"type": ["string", "number"]})))
                .collect();
            json!({
                "type": "object",
                "properties": properties,
                "required": names,
                "additionalProperties": false,
            })
        }
        _ => json!({"type": "object", "additionalProperties": {"type": "string"}}),
    }
}

/// A value of TOML as JSON.
fn to_json(text: &str) -> Option<Value> {
    let table: Map<String, Value> = toml::from_str(&format!("value = {text}")).ok()?;
    table.get("value").cloned()
}
