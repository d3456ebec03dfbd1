//! What is known of one key: its kind, its default, a sentence about it, and what it accepts.

use std::ops::RangeInclusive;

/// The kind of a key's value in TOML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueKind {
    Text,
    Integer,
    Boolean,
    /// A list of texts.
    List,
    /// A text, or a whole number of bytes.
    Size,
    /// A text or a list of texts.
    TextOrList,
    /// `true`, `false` or a list of texts.
    BooleanOrList,
    /// A table of texts, in tables that occur any number of times.
    Table,
}

impl ValueKind {
    /// The problem of a value of another kind.
    pub(super) fn wanted(self) -> &'static str {
        match self {
            ValueKind::Text => "a text in quotes is wanted",
            ValueKind::Integer => "a whole number is wanted",
            ValueKind::Boolean => "true or false is wanted",
            ValueKind::List => "a list of texts is wanted, such as [\"a\", \"b\"]",
            ValueKind::Size => "a size is wanted, such as \"64KiB\", \"256MiB\" or a number of bytes",
            ValueKind::TextOrList => "a text or a list of texts is wanted",
            ValueKind::BooleanOrList => "true, false or a list of texts is wanted",
            ValueKind::Table => "a table is wanted, such as { a = \"b\" }",
        }
    }

    /// The kind in a few words, for the manual.
    pub(super) fn noun(self) -> &'static str {
        match self {
            ValueKind::Text => "text",
            ValueKind::Integer => "whole number",
            ValueKind::Boolean => "true or false",
            ValueKind::List => "list of texts",
            ValueKind::Size => "size",
            ValueKind::TextOrList => "text or list of texts",
            ValueKind::BooleanOrList => "true, false or list of texts",
            ValueKind::Table => "table",
        }
    }
}

/// What a key accepts of its kind. Editors learn it from the JSON schema, readers from the manual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepted {
    /// Whatever the sentence says.
    Any,
    /// One of these words; of a list, each item.
    Words(&'static [&'static str]),
    /// A whole number from the first to the last.
    Range(u32, u32),
    /// Texts of this form, as a regular expression; of a list, each item.
    Form(Form),
    /// A table with these names, all of them required; none: with any names.
    Names(&'static [&'static str]),
}

/// A text's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `500ms`, `25s`, `1h 30m`.
    Duration,
    /// `64KiB`, `256MiB`.
    Size,
    /// `1KiB/s`, or `0`.
    Rate,
    /// `ADDRESS:PORT` or `unix:/PATH`.
    Listen,
    /// `ADDRESS:PORT`.
    Address,
    /// `ADDRESS:PORT`, or nothing.
    AddressOrNone,
    /// `http://HOST:PORT` or `unix:/PATH`.
    App,
    /// `http://…` or `https://…`.
    Url,
    /// A path here, `/js/script.js`.
    OwnPath,
    /// A path here, or nothing.
    OwnPathOrNone,
    /// `file:/PATH`, `udp:ADDRESS:PORT`, `unixgram:/PATH`, or nothing.
    LogSource,
    /// `nats://HOST:PORT` or `tls://HOST:PORT`, several with commas, or nothing.
    Servers,
    /// A stream's name.
    StreamName,
    /// `cookie:NAME` or `header:NAME`.
    Present,
    /// Anything but nothing.
    Something,
}

impl Form {
    /// As a regular expression that JSON Schema and Rust's editors understand alike: no look-around, no named
    /// classes. It may let a value through that `check` refuses, never the other way round.
    pub(super) fn pattern(self) -> &'static str {
        match self {
            Form::Duration => "^ *[0-9]+ *[A-Za-z]*( *[0-9]+ *[A-Za-z]+)* *$",
            Form::Size => "^ *[0-9]+ *([KkMmGgTt][Ii]?)?[Bb]? *$",
            Form::Rate => "^ *(0|[0-9]+ *([KkMmGgTt][Ii]?)?[Bb]?/s) *$",
            Form::Listen => "^(unix:.+|.+:[0-9]+)$",
            Form::Address => "^.+:[0-9]+$",
            Form::AddressOrNone => "^(.+:[0-9]+)?$",
            Form::App => "^([Hh][Tt][Tt][Pp]://.+|unix:.+)$",
            Form::Url => "^[Hh][Tt][Tt][Pp][Ss]?://.+$",
            Form::OwnPath => "^/[^?#]+$",
            Form::OwnPathOrNone => "^(/[^?#]+)?$",
            Form::LogSource => "^(file:.+|udp:.+:[0-9]+|unixgram:.+)?$",
            Form::Servers => "^((nats|tls)://[^,]+(, *(nats|tls)://[^,]+)*)?$",
            Form::StreamName => "^[A-Za-z0-9_-]+$",
            Form::Present => "^(cookie|header):.+$",
            Form::Something => "^.+$",
        }
    }
}

/// One key of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// Table and name, `listen.address`.
    pub(super) path: &'static str,
    pub(super) kind: ValueKind,
    /// The default as it would be in the file; `None` if the key is required, or if there is no value that
    /// means the same as leaving it out.
    pub(super) default: Option<&'static str>,
    /// A sentence or two.
    pub(super) about: &'static str,
    pub(super) accepted: Accepted,
    /// What the file with every key has, where that is not the default.
    pub(super) example: Option<&'static str>,
}

/// A key with a default.
pub(super) const fn key(path: &'static str, kind: ValueKind, default: &'static str) -> Key {
    Key {
        path,
        kind,
        default: Some(default),
        about: "",
        accepted: match kind {
            ValueKind::Size => Accepted::Form(Form::Size),
            _ => Accepted::Any,
        },
        example: None,
    }
}

/// A key without a default.
pub(super) const fn key_of(path: &'static str, kind: ValueKind, example: &'static str) -> Key {
    Key {
        default: None,
        ..key(path, kind, "").example(example)
    }
}

impl Key {
    /// Says what the key is for.
    pub(super) const fn about(self, about: &'static str) -> Key {
        Key { about, ..self }
    }

    pub(super) const fn words(self, words: &'static [&'static str]) -> Key {
        Key {
            accepted: Accepted::Words(words),
            ..self
        }
    }

    pub(super) const fn range(self, least: u32, most: u32) -> Key {
        Key {
            accepted: Accepted::Range(least, most),
            ..self
        }
    }

    pub(super) const fn form(self, form: Form) -> Key {
        Key {
            accepted: Accepted::Form(form),
            ..self
        }
    }

    pub(super) const fn names(self, names: &'static [&'static str]) -> Key {
        Key {
            accepted: Accepted::Names(names),
            ..self
        }
    }

    /// What the file with every key has in place of the default.
    pub(super) const fn example(self, example: &'static str) -> Key {
        Key {
            example: Some(example),
            ..self
        }
    }

    /// The name within its table.
    pub(super) fn name(&self) -> &'static str {
        name_of(self.path)
    }

    /// The numbers that an integer may be.
    pub(super) fn integers(&self) -> RangeInclusive<u32> {
        match self.accepted {
            Accepted::Range(least, most) => least..=most,
            _ => 0..=u32::MAX,
        }
    }

    /// What it accepts, in words; empty if the sentence says it.
    pub(super) fn accepted_in_words(&self) -> String {
        match self.accepted {
            Accepted::Words(words) => words.join(" | "),
            Accepted::Range(least, most) => format!("{least} to {most}"),
            Accepted::Names(names) => names.join(", "),
            Accepted::Any | Accepted::Form(_) => String::new(),
        }
    }

    /// What the file with every key has.
    pub(super) fn shown(&self) -> &'static str {
        self.example.or(self.default).unwrap_or_default()
    }
}

/// A table that occurs any number of times.
#[derive(Debug, Clone, Copy)]
pub(super) struct RepeatedTable {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) keys: &'static [Key],
    /// How many of the keys are required: the first ones.
    pub(super) required: usize,
}

impl RepeatedTable {
    /// The names of its keys.
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.keys.iter().map(Key::name).collect()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key.name() == name)
    }
}

/// `GATECOUNT_LISTEN_ADDRESS` for `listen.address`.
pub(super) fn variable(path: &str) -> String {
    format!("GATECOUNT_{}", path.replace('.', "_").to_ascii_uppercase())
}

/// `a, b and c`
pub(super) fn listed(names: &[&str]) -> String {
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((only, _)) => (*only).to_owned(),
        None => "none".to_owned(),
    }
}

pub(super) fn table_of(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(table, _)| table)
}

pub(super) fn name_of(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(_, name)| name)
}
