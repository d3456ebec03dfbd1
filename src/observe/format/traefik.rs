//! Traefik's access log in JSON. Its fields of the request are `request_User-Agent` and so on, which Traefik
//! writes only if it is told to keep them.

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

use super::{
    line::{LogLine, peer_of},
    value::{self, Scalar, ValuesInto},
};

/// What a field of the request begins with.
const REQUEST: &str = "request_";

/// Reads a line. It has to be an object with a `RequestPath`.
pub(super) fn parse(text: &str) -> Option<LogLine<'_>> {
    let mut json = serde_json::Deserializer::from_str(text);
    let line = json.deserialize_map(TraefikLine).ok()?;
    json.end().ok()?;
    Some(line).filter(|line| !line.target.is_empty())
}

struct TraefikLine;

impl<'de> Visitor<'de> for TraefikLine {
    type Value = LogLine<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a log line")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<LogLine<'de>, A::Error> {
        let mut line = LogLine::default();
        let (mut started, mut logged, mut client) = (None, None, None);
        while let Some(name) = value::name(&mut members)? {
            match &*name {
                "StartUTC" => started = members.next_value::<Scalar<'de>>()?.time(),
                "time" => logged = members.next_value::<Scalar<'de>>()?.time(),
                "ClientAddr" => line.peer = members.next_value::<Scalar<'de>>()?.text(),
                "ClientHost" => client = members.next_value::<Scalar<'de>>()?.text(),
                "RequestMethod" => {
                    line.method = members.next_value::<Scalar<'de>>()?.text().unwrap_or_default();
                }
                "RequestPath" => {
                    line.set_target(members.next_value::<Scalar<'de>>()?.text().unwrap_or_default());
                }
                "RequestAddr" => line.host = members.next_value::<Scalar<'de>>()?.text(),
                "RequestScheme" => {
                    let scheme = members.next_value::<Scalar<'de>>()?.text();
                    line.https = scheme.is_some_and(|s| s.eq_ignore_ascii_case("https"));
                }
                "DownstreamStatus" => line.status = members.next_value::<Scalar<'de>>()?.status(),
                "downstream_Content-Type" => line.content_type = members.next_value::<Scalar<'de>>()?.text(),
                other if other.starts_with(REQUEST) => {
                    let name = without_prefix(name, REQUEST.len());
                    members.next_value_seed(ValuesInto {
                        line: &mut line,
                        name,
                    })?;
                }
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        line.time = started.or(logged);
        // ClientHost is what X-Forwarded-For says where a client sent one.
        if let (Some(client), Some(peer)) = (client, &line.peer)
            && peer_of(peer) != peer_of(&client)
            && !line.has("x-forwarded-for")
        {
            line.push(Cow::Borrowed("x-forwarded-for"), client);
        }
        Ok(line)
    }
}

fn without_prefix(name: Cow<'_, str>, length: usize) -> Cow<'_, str> {
    match name {
        Cow::Borrowed(name) => Cow::Borrowed(&name[length..]),
        Cow::Owned(name) => Cow::Owned(name[length..].to_owned()),
    }
}
