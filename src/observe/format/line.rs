//! What a line says of one request.

use std::{borrow::Cow, net::Ipv4Addr};

use httparse::Header;
use smallvec::SmallVec;

use crate::{
    client::{Peer, Visible},
    facts::ResponseFacts,
    field,
    observe::observed::Observed,
    page::SeenResponse,
};

/// The fields that fit without an allocation. nginx's example has fourteen, a browser sends about as many.
const FIELDS: usize = 20;

/// See the module. What is `None` is not known.
#[derive(Debug, Default)]
pub(in crate::observe) struct LogLine<'a> {
    /// In milliseconds since 1970.
    pub(super) time: Option<u64>,
    pub(super) peer: Option<Cow<'a, str>>,
    /// Empty where it is not known.
    pub(super) method: Cow<'a, str>,
    /// Path and query.
    pub(super) target: Cow<'a, str>,
    pub(super) host: Option<Cow<'a, str>>,
    pub(super) https: bool,
    pub(super) status: Option<u16>,
    /// The response's type; empty if the response had none.
    pub(super) content_type: Option<Cow<'a, str>>,
    pub(super) attachment: bool,
    pub(super) fields: SmallVec<[(Cow<'a, str>, Cow<'a, str>); FIELDS]>,
    /// It is known what the browser said of the request: `Accept` or a `Sec-Fetch` field was logged.
    pub(super) signs: bool,
}

impl<'a> LogLine<'a> {
    /// Adds a field of the request. One that is empty was not sent, and what can't be a field's value was not
    /// sent like that.
    pub(super) fn push(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) {
        self.signs |= match name.len() {
            6 => name.eq_ignore_ascii_case("accept"),
            14 => name.eq_ignore_ascii_case("sec-fetch-dest") || name.eq_ignore_ascii_case("sec-fetch-mode"),
            _ => false,
        };
        if is_there(&value) && field::is_value(value.as_bytes()) {
            self.fields.push((name, value));
        }
    }

    /// The first field of this name.
    pub(super) fn first(&self, name: &str) -> Option<Cow<'a, str>> {
        let mut fields = self.fields.iter();
        let (_, value) = fields.find(|(other, _)| other.eq_ignore_ascii_case(name))?;
        Some(value.clone())
    }

    /// Whether a field was sent.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields
            .iter()
            .any(|(other, _)| other.eq_ignore_ascii_case(name))
    }

    /// Takes the target out of what the client asked for, which may be in absolute form (RFC 9112 §3.2.2).
    pub(super) fn set_target(&mut self, asked: Cow<'a, str>) {
        let bytes = asked.as_bytes();
        let authority = [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
            let start = bytes.get(..scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some(scheme.len())
        });
        self.target = match authority {
            None => asked,
            Some(start) => match asked[start..].find('/') {
                Some(at) => Cow::Owned(asked[start + at..].to_owned()),
                None => Cow::Borrowed("/"),
            },
        };
    }

    /// Whether the target could stand in a request line.
    pub(super) fn is_sound(&self) -> bool {
        self.target.bytes().all(|b| b > b' ' && b != 0x7f)
    }

    /// When the request was, in milliseconds since 1970.
    pub(in crate::observe) fn time(&self) -> Option<u64> {
        self.time
    }

    /// Shows the line as a request to `see`.
    pub(in crate::observe) fn observed<R>(&self, see: impl FnOnce(&Observed<'_>) -> R) -> R {
        let fields: SmallVec<[Header<'_>; FIELDS]> = self
            .fields
            .iter()
            .map(|(name, value)| Header {
                name,
                value: value.as_bytes(),
            })
            .collect();
        let host = self.host.as_deref().filter(|host| is_there(host));
        let host = host.or_else(|| std::str::from_utf8(field::first(&fields, "host")?).ok());
        let response = match (self.status, &self.content_type) {
            (None, _) => SeenResponse::Nothing,
            (Some(status), None) => SeenResponse::Status(status),
            (Some(status), Some(kind)) => SeenResponse::Head(ResponseFacts {
                content_type: Some(kind.as_bytes()).filter(|_| is_there(kind)),
                attachment: self.attachment,
                ..ResponseFacts::of_status(status)
            }),
        };
        see(&Observed {
            peer: self.peer.as_deref().map_or_else(unknown_peer, peer_of),
            method: &self.method,
            target: &self.target,
            fields: &fields,
            arrived: Visible {
                https: self.https,
                host,
            },
            signs: self.signs,
            response,
        })
    }
}

/// Whether a logged value is one: servers write `-` or nothing where there was none.
pub(super) fn is_there(value: &str) -> bool {
    !matches!(value, "" | "-")
}

pub(super) fn peer_of(text: &str) -> Peer {
    text.parse().unwrap_or_else(|_| unknown_peer())
}

/// A peer without an address, whose headers nobody trusts.
fn unknown_peer() -> Peer {
    Peer::from(std::net::SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))
}
