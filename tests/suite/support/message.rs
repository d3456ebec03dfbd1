//! HTTP/1.1 messages as the tests read them: heads kept byte for byte, bodies decoded by their framing.
//!
//! Field values are strings in which each byte is the character of that number, so that nothing is lost.

/// A start line and its field lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// As it came, the empty line included.
    pub(crate) bytes: Vec<u8>,
    /// The start line.
    pub(crate) start: String,
    /// Names as sent, values trimmed.
    pub(crate) fields: Vec<(String, String)>,
}

/// What a recipient on the way takes off and sets afresh (RFC 9110 §7.6.1).
const HOP_BY_HOP: [&str; 4] = ["connection", "keep-alive", "transfer-encoding", "upgrade"];

impl Head {
    /// Takes a head apart. A line without a colon becomes a name without a value.
    pub(crate) fn parse(bytes: &[u8]) -> Head {
        let text = latin(bytes);
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let fields = lines.filter(|line| !line.is_empty()).map(field).collect();
        Head {
            bytes: bytes.to_vec(),
            start,
            fields,
        }
    }

    /// The first value of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().next()
    }

    /// Each value of this name, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        all(&self.fields, name)
    }

    /// Whether there is such a line.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The fields that belong to the message and not to the connection, in order.
    pub(crate) fn end_to_end(&self) -> Vec<(String, String)> {
        self.fields
            .iter()
            .filter(|(name, _)| !HOP_BY_HOP.iter().any(|hop| name.eq_ignore_ascii_case(hop)))
            .cloned()
            .collect()
    }

    /// The method of a request's start line.
    pub(crate) fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    /// The target of a request's start line.
    pub(crate) fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// The code of a response's start line; 0 where it has none.
    pub(crate) fn status(&self) -> u16 {
        self.start
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or(0)
    }

    /// How the body behind this head ends, read strictly; a head that leaves it open is an error.
    pub(crate) fn framing(&self) -> Result<Framing, String> {
        let (encodings, lengths) = (self.all("transfer-encoding"), self.all("content-length"));
        match (encodings.as_slice(), lengths.as_slice()) {
            ([], []) => Ok(Framing::None),
            ([one], []) if one.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
            ([], [one]) if !one.is_empty() && one.bytes().all(|b| b.is_ascii_digit()) => one
                .parse()
                .map(Framing::Length)
                .map_err(|e| format!("content-length {one:?}: {e}")),
            _ => Err(format!(
                "ambiguous framing: transfer-encoding {encodings:?}, content-length {lengths:?}"
            )),
        }
    }
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Neither field: a request has no body, a response's ends with the connection.
    None,
    /// After so many bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
}

/// A response, read to its end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Response {
    /// The 1xx heads before it.
    pub(crate) informational: Vec<Head>,
    /// Its head.
    pub(crate) head: Head,
    /// Its body, decoded.
    pub(crate) body: Vec<u8>,
    /// The fields behind a chunked body.
    pub(crate) trailers: Vec<(String, String)>,
    /// Whether the body ended as its framing said.
    pub(crate) complete: bool,
}

impl Response {
    /// The status code.
    pub(crate) fn status(&self) -> u16 {
        self.head.status()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("not JSON: {e}: {}", self.text()))
    }
}

/// Each value of this name, in order.
pub(crate) fn all<'a>(fields: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    fields
        .iter()
        .filter(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
        .collect()
}

/// One field line taken apart.
pub(crate) fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    (name.to_owned(), value.trim_matches([' ', '\t']).to_owned())
}

/// Bytes as a string in which each character is one byte.
pub(crate) fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|b| char::from(*b)).collect()
}
