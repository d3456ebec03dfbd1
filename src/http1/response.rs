//! A response's head (RFC 9112 §4) and how its body is framed (§6.3).

use httparse::{Header, ParserConfig, Status};

use crate::field;

use super::{
    body::Body,
    chunked::Chunked,
    head::{FieldSlots, Version, content_length},
};

/// A response head with exactly one possible interpretation.
#[derive(Debug)]
pub struct ResponseHead<'h, 'b> {
    /// The version of the sender.
    pub version: Version,
    /// The status code, 100–999.
    pub status: u16,
    /// The reason phrase, perhaps empty.
    pub reason: &'b str,
    /// All field lines.
    pub fields: &'h [Header<'b>],
    /// How the body is framed.
    pub body: Body,
    /// The `Content-Length` to pass on. A response without a body (to HEAD, or 304) may have one too: the
    /// length that the body would have had.
    pub content_length: Option<u64>,
    /// A laxer parser could read the framing differently, so this connection must not be used again.
    pub last: bool,
    /// The head's length in bytes, including the empty line.
    pub len: usize,
}

/// Why the app's response can't be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadResponse {
    /// The head is not HTTP/1.
    #[error("the response head is malformed")]
    Malformed,
    /// More field lines than [`MAX_FIELDS`](super::MAX_FIELDS).
    #[error("the response head is too large")]
    TooLarge,
    /// Two different lengths, or one that is no number.
    #[error("the response's length is ambiguous or malformed")]
    Length,
    /// A transfer coding other than `chunked`, or any in HTTP/1.0.
    #[error("the response's transfer coding is not supported")]
    Coding,
}

/// Parses a head; `to_head`: it answers a HEAD request. `Ok(None)`: more bytes are needed.
///
/// The body's length is found in the order of RFC 9112 §6.3. A response to HEAD, a 1xx, a 204 and a 304 have
/// no body. `chunked` overrides `Content-Length`, which is then not passed on, and the connection ends with
/// this response. Equal lengths count as one; different lengths are an error. Without a length, the body ends
/// when the connection closes.
///
/// # Errors
/// A [`BadResponse`] where more than one interpretation is possible, or none.
pub fn parse_response<'h, 'b>(
    bytes: &'b [u8],
    to_head: bool,
    slots: &'h mut FieldSlots<'b>,
) -> Result<Option<ResponseHead<'h, 'b>>, BadResponse> {
    let mut parsed = httparse::Response::new(&mut []);
    let mut config = ParserConfig::default();
    // RFC 9112 §5.1: a proxy removes white space before the colon from a response.
    config.allow_spaces_after_header_name_in_responses(true);
    let len = match config.parse_response_with_uninit_headers(&mut parsed, bytes, slots) {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(BadResponse::TooLarge),
        Err(_) => return Err(BadResponse::Malformed),
    };
    let (Some(status), Some(version)) = (parsed.code, parsed.version) else {
        return Err(BadResponse::Malformed);
    };
    if status < 100 {
        return Err(BadResponse::Malformed);
    }
    let version = if version == 0 {
        Version::Http10
    } else {
        Version::Http11
    };
    let fields: &'h [Header<'b>] = parsed.headers;

    let (mut length, mut chunked) = (None, false);
    for f in fields {
        match f.name.len() {
            14 if f.name.eq_ignore_ascii_case("content-length") => {
                for one in f.value.split(|b| *b == b',') {
                    let one = content_length(field::trim(one)).ok_or(BadResponse::Length)?;
                    if length.replace(one).is_some_and(|before| before != one) {
                        return Err(BadResponse::Length);
                    }
                }
            }
            17 if f.name.eq_ignore_ascii_case("transfer-encoding") => {
                if chunked
                    || version == Version::Http10
                    || !field::trim(f.value).eq_ignore_ascii_case(b"chunked")
                {
                    return Err(BadResponse::Coding);
                }
                chunked = true;
            }
            _ => {}
        }
    }
    let bodiless = to_head || status < 200 || status == 204 || status == 304;
    let body = match (chunked, length) {
        _ if bodiless => Body::Done,
        (true, _) => Body::Chunked(Chunked::default()),
        (false, Some(0)) => Body::Done,
        (false, Some(length)) => Body::Length(length),
        (false, None) => Body::UntilClose,
    };
    // A 1xx or 204 has no length (RFC 9110 §8.6).
    let content_length = length.filter(|_| !chunked && status >= 200 && status != 204);
    let last = chunked && length.is_some();
    let reason = parsed.reason.unwrap_or("");
    Ok(Some(ResponseHead {
        version,
        status,
        reason,
        fields,
        body,
        content_length,
        last,
        len,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::field_slots;

    fn read(lines: &str, to_head: bool) -> Result<(Body, Option<u64>, bool), BadResponse> {
        let text = format!("{lines}\r\n");
        let mut slots = field_slots();
        let head = parse_response(text.as_bytes(), to_head, &mut slots)?.expect("a whole head");
        Ok((head.body, head.content_length, head.last))
    }

    #[test]
    fn framing_is_read_as_rfc_9112_6_3_orders_it() {
        let chunked = || Body::Chunked(Chunked::default());
        for (lines, expected) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
                Ok((Body::Length(5), Some(5), false)),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n",
                Ok((Body::Done, Some(0), false)),
            ),
            ("HTTP/1.1 200 OK\r\n", Ok((Body::UntilClose, None, false))),
            ("HTTP/1.0 200 OK\r\n", Ok((Body::UntilClose, None, false))),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n",
                Ok((chunked(), None, false)),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n",
                Ok((chunked(), None, true)),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n",
                Ok((chunked(), None, true)),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n",
                Ok((Body::Length(5), Some(5), false)),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n",
                Ok((Body::Length(5), Some(5), false)),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
                Err(BadResponse::Length),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n",
                Err(BadResponse::Length),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5,\r\n",
                Err(BadResponse::Length),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n",
                Err(BadResponse::Coding),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n",
                Err(BadResponse::Coding),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                Err(BadResponse::Coding),
            ),
            (
                "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n",
                Err(BadResponse::Coding),
            ),
            (
                "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n",
                Ok((Body::Done, None, false)),
            ),
            (
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n",
                Ok((Body::Done, Some(5), false)),
            ),
            (
                "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n",
                Ok((Body::Done, None, false)),
            ),
            ("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n", Err(BadResponse::Malformed)),
            ("HTTP/1.1 99 Low\r\n", Err(BadResponse::Malformed)),
            ("HTTP/1.1 99\r\n", Err(BadResponse::Malformed)),
            ("ICY 200 OK\r\n", Err(BadResponse::Malformed)),
        ] {
            assert_eq!(read(lines, false), expected, "{lines}");
        }
        assert_eq!(
            read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", true),
            Ok((Body::Done, Some(5), false))
        );
    }

    #[test]
    fn whitespace_before_the_colon_is_not_part_of_the_name() {
        assert_eq!(
            read("HTTP/1.1 200 OK\r\nContent-Length : 5\r\n", false),
            Ok((Body::Length(5), Some(5), false))
        );
    }
}
