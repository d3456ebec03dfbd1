//! A mistake in the configuration, with everything that its reader needs to correct it.

use std::{
    error::Error,
    fmt::{self, Display, Formatter},
    path::PathBuf,
};

use super::password::{mask_password, mask_passwords};

/// Longer values are cut, in characters.
const MAX_QUOTED: usize = 80;

/// Where a value was set. Later variants beat earlier ones, and mistakes are listed in this order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// In a file, at this line (from 1).
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// In this environment variable.
    Environment(String),
    /// In this flag.
    Flag(&'static str),
    /// Nowhere: the value is the default, or missing.
    Default,
}

impl Display for Origin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { path, line } => write!(f, "{}:{line}", path.display().to_string().escape_debug()),
            Origin::Environment(name) => write!(f, "{}", name.escape_debug()),
            Origin::Flag(name) => f.write_str(name),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// One mistake: where, which key, which value, and what would be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where it is.
    pub origin: Origin,
    /// The key's path such as `listen.drain`; empty if no key is to blame (a file that can't be read).
    pub key: String,
    /// The value as it was written, if there is one, without a URL's password.
    pub value: Option<String>,
    /// What is wrong and what would be accepted.
    pub problem: String,
}

impl Mistake {
    /// A mistake in a value.
    pub(super) fn value(
        origin: &Origin,
        key: &str,
        value: impl Into<String>,
        problem: impl Into<String>,
    ) -> Self {
        Mistake {
            origin: origin.clone(),
            key: key.to_owned(),
            value: Some(without_password(key, value.into())),
            problem: problem.into(),
        }
    }

    /// A mistake about a key and not its value.
    pub(super) fn key(origin: &Origin, key: &str, problem: impl Into<String>) -> Self {
        Mistake {
            origin: origin.clone(),
            key: key.to_owned(),
            value: None,
            problem: problem.into(),
        }
    }
}

impl Display for Mistake {
    /// `gatecount.toml:4: listen.drain = "25 parsecs": a duration is wanted, …`
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.origin != Origin::Default {
            write!(f, "{}: ", self.origin)?;
        }
        if !self.key.is_empty() {
            write!(f, "{}", self.key.escape_debug())?;
        }
        if let Some(value) = &self.value {
            let equals = if self.key.is_empty() { "" } else { " = " };
            write!(f, "{equals}{}", shortened(value))?;
        }
        if !self.key.is_empty() || self.value.is_some() {
            f.write_str(": ")?;
        }
        f.write_str(&self.problem)
    }
}

/// The keys whose values are URLs, so that a password is found in them without a scheme too.
const URLS: [&str; 3] = ["app.url", "plausible.url", "plausible.proxy"];

/// The key whose value is a list of URLs.
const SERVERS: &str = "stream.url";

/// The value without a URL's password: a message goes to the log and the terminal.
fn without_password(key: &str, value: String) -> String {
    if key == SERVERS {
        mask_passwords(&value)
    } else if value.contains("://") || URLS.contains(&key) {
        mask_password(&value)
    } else {
        value
    }
}

/// A value on one line: control characters are escaped, and long values are cut.
fn shortened(value: &str) -> String {
    let mut out: String = value.chars().take(MAX_QUOTED).flat_map(escape_control).collect();
    if value.chars().nth(MAX_QUOTED).is_some() {
        out.push('…');
    }
    out
}

fn escape_control(c: char) -> impl Iterator<Item = char> {
    let (escaped, plain) = if c.is_control() {
        (Some(c.escape_debug()), None)
    } else {
        (None, Some(c))
    };
    escaped.into_iter().flatten().chain(plain)
}

/// Every mistake of one configuration. As an error it is never empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// The mistakes, files first, line by line, then the environment, the flags, and what is missing.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }

    pub(super) fn push(&mut self, mistake: Mistake) {
        self.0.push(mistake);
    }

    pub(super) fn extend(&mut self, mistakes: Vec<Mistake>) {
        self.0.extend(mistakes);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sorted by place; mistakes at one place stay in the order of their discovery.
    pub(super) fn sorted(mut self) -> Self {
        self.0.sort_by(|a, b| a.origin.cmp(&b.origin));
        self
    }
}

impl Display for Mistakes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let n = self.0.len();
        let s = if n == 1 { "" } else { "s" };
        write!(f, "{n} mistake{s} in the configuration")?;
        for mistake in &self.0 {
            write!(f, "\n  {mistake}")?;
        }
        Ok(())
    }
}

impl Error for Mistakes {}
