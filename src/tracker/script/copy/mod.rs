//! A copy of the script as it is served: in both codings, with validators of our own.

use std::{borrow::Cow, io::Write};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, StatusCode, header};
use httparse::Header;
use siphasher::sip128::SipHasher13;

use super::super::answer::DedicatedAnswer;
use crate::{delivery::Fetched, field};

/// Why an answer is not taken for the script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoScript {
    /// Another status than 200.
    #[error("it answered {}", .0.as_u16())]
    Status(StatusCode),
    /// A page, a picture, or what else is no script.
    #[error("it is no script, but {0}")]
    Type(String),
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// A coding that was not asked for.
    #[error("it is encoded, which was not asked for")]
    Encoded,
}

/// See the module.
#[derive(Debug)]
pub(super) struct ScriptCopy {
    plain: Representation,
    /// None if it is no smaller.
    gzip: Option<Representation>,
    content_type: String,
    cache_control: Option<String>,
}

#[derive(Debug, Clone)]
struct Representation {
    body: Bytes,
    /// A strong validator (RFC 9110 §8.8.3).
    etag: String,
}

impl ScriptCopy {
    /// Makes a copy of what was fetched.
    ///
    /// # Errors
    /// [`NoScript`]
    pub(super) fn of(fetched: &Fetched) -> Result<Self, NoScript> {
        if fetched.status != StatusCode::OK {
            return Err(NoScript::Status(fetched.status));
        }
        let text = |name| {
            fetched
                .fields
                .get(name)
                .map(|value| String::from_utf8_lossy(value.as_bytes()))
        };
        if text(header::CONTENT_ENCODING).is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
            return Err(NoScript::Encoded);
        }
        let body = fetched.body.clone();
        let start = body
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(&body)
            .trim_ascii_start();
        if start.is_empty() {
            return Err(NoScript::Empty);
        }
        let content_type = text(header::CONTENT_TYPE).unwrap_or(Cow::Borrowed("text/javascript"));
        if !is_script(content_type.as_bytes()) {
            return Err(NoScript::Type(content_type.into_owned()));
        }
        // No script begins so, whatever its type says.
        if start.starts_with(b"<") {
            return Err(NoScript::Type("a page".to_owned()));
        }
        let hash = hash(&body);
        let compressed = compress(&body).filter(|compressed| compressed.len() < body.len());
        Ok(ScriptCopy {
            plain: Representation {
                body,
                etag: format!("\"{hash}\""),
            },
            gzip: compressed.map(|compressed| Representation {
                body: compressed.into(),
                etag: format!("\"{hash}-gzip\""),
            }),
            content_type: content_type.into_owned(),
            cache_control: cache_control(&fetched.fields),
        })
    }

    /// The same script, as a 304 that brought these fields says (RFC 9111 §4.3.4).
    pub(super) fn refreshed(&self, fields: &HeaderMap) -> Self {
        ScriptCopy {
            plain: self.plain.clone(),
            gzip: self.gzip.clone(),
            content_type: self.content_type.clone(),
            cache_control: cache_control(fields).or_else(|| self.cache_control.clone()),
        }
    }

    /// Answers a request with these fields. Compressed though the script may say `no-transform`: that is for
    /// those between us and the browser, and to us it is a file of our own.
    pub(super) fn answer(&self, fields: &[Header<'_>]) -> DedicatedAnswer {
        let gzip = self.gzip.as_ref().filter(|_| accepts_gzip(fields));
        let chosen = gzip.unwrap_or(&self.plain);
        let known = [Some(&self.plain), self.gzip.as_ref()];
        let known = known.into_iter().flatten().any(|one| matches(fields, &one.etag));
        let (status, body) = if known {
            (304, Bytes::new())
        } else {
            (200, chosen.body.clone())
        };
        let mut answer = DedicatedAnswer {
            status,
            fields: Vec::with_capacity(8),
            body,
        };
        if let Some(cache_control) = &self.cache_control {
            answer = answer.with("Cache-Control", cache_control.clone());
        }
        answer = answer
            .with("ETag", chosen.etag.clone())
            .with("Vary", "Accept-Encoding");
        if !known {
            answer = answer.with("Content-Type", self.content_type.clone());
            if gzip.is_some() {
                answer = answer.with("Content-Encoding", "gzip");
            }
        }
        answer
            .with("Access-Control-Allow-Origin", "*")
            .with("Cross-Origin-Resource-Policy", "cross-origin")
            .with("X-Content-Type-Options", "nosniff")
    }
}

/// Whether a type is a script's (the MIME Sniffing standard, §4.6), or says as little as a file server does
/// that does not know.
fn is_script(content_type: &[u8]) -> bool {
    let essence = field::without_parameters(content_type).to_ascii_lowercase();
    essence.ends_with(b"javascript")
        || essence.ends_with(b"ecmascript")
        || essence == b"text/plain"
        || essence == b"application/octet-stream"
}

/// All of its lines as one.
fn cache_control(fields: &HeaderMap) -> Option<String> {
    let lines = fields.get_all(header::CACHE_CONTROL).iter();
    let lines: Vec<&str> = lines.filter_map(|line| line.to_str().ok()).collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

fn hash(body: &[u8]) -> String {
    let hash = SipHasher13::new_with_keys(0, 0).hash(body);
    format!("{:032x}", hash.as_u128())
}

fn compress(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 2), Compression::best());
    // Writing to a vector does not fail.
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

/// Whether `Accept-Encoding` allows gzip (RFC 9110 §12.5.3).
fn accepts_gzip(fields: &[Header<'_>]) -> bool {
    let mut any = false;
    for coding in field::list(fields, "accept-encoding") {
        let refused = coding.split(|b| *b == b';').skip(1).any(is_zero_weight);
        match field::without_parameters(coding) {
            name if name.eq_ignore_ascii_case(b"gzip") => return !refused,
            b"*" => any = !refused,
            _ => {}
        }
    }
    any
}

/// `q=0`, `q=0.0` and so on (RFC 9110 §12.4.2).
fn is_zero_weight(parameter: &[u8]) -> bool {
    let parameter = field::trim(parameter);
    parameter
        .strip_prefix(b"q=")
        .or_else(|| parameter.strip_prefix(b"Q="))
        .is_some_and(|weight| !weight.is_empty() && weight.iter().all(|b| matches!(b, b'0' | b'.')))
}

/// Whether `If-None-Match` names this validator, compared weakly (RFC 9110 §13.1.2).
fn matches(fields: &[Header<'_>], etag: &str) -> bool {
    field::list(fields, "if-none-match")
        .any(|listed| listed == b"*" || listed.strip_prefix(b"W/").unwrap_or(listed) == etag.as_bytes())
}

#[cfg(test)]
mod tests;
