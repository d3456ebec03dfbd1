//! Caddy's access log in JSON, as its `json` encoder writes it.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};

use super::{
    line::LogLine,
    value::{self, FieldsInto, Scalar},
};

/// Reads a line. It has to be an object with a `request` that has a `uri`.
pub(super) fn parse(text: &str) -> Option<LogLine<'_>> {
    let mut json = serde_json::Deserializer::from_str(text);
    let line = json.deserialize_map(CaddyLine).ok()?;
    json.end().ok()?;
    Some(line).filter(|line| !line.target.is_empty())
}

struct CaddyLine;

impl<'de> Visitor<'de> for CaddyLine {
    type Value = LogLine<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a log line")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<LogLine<'de>, A::Error> {
        // Caddy logs every field of the request: one that is missing was not sent.
        let mut line = LogLine {
            signs: true,
            ..LogLine::default()
        };
        let mut response = LogLine::default();
        while let Some(name) = value::name(&mut members)? {
            match &*name {
                "ts" => line.time = members.next_value::<Scalar<'de>>()?.time(),
                "status" => line.status = members.next_value::<Scalar<'de>>()?.status(),
                "request" => members.next_value_seed(RequestInto(&mut line))?,
                "resp_headers" => {
                    members.next_value_seed(FieldsInto(&mut response))?;
                    line.content_type = Some(response.first("content-type").unwrap_or_default());
                    let disposition = response.first("content-disposition").unwrap_or_default();
                    let kind = disposition.split(';').next().unwrap_or_default();
                    line.attachment = kind.trim().eq_ignore_ascii_case("attachment");
                }
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(line)
    }
}

/// Reads the member `request`.
struct RequestInto<'x, 'a>(&'x mut LogLine<'a>);

impl<'de> DeserializeSeed<'de> for RequestInto<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RequestInto<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let line = self.0;
        while let Some(name) = value::name(&mut members)? {
            match &*name {
                // `remote_addr`, with a port, is what versions before 2.5 wrote.
                "remote_ip" | "remote_addr" => line.peer = members.next_value::<Scalar<'de>>()?.text(),
                "method" => line.method = members.next_value::<Scalar<'de>>()?.text().unwrap_or_default(),
                "host" => line.host = members.next_value::<Scalar<'de>>()?.text(),
                "uri" => line.set_target(members.next_value::<Scalar<'de>>()?.text().unwrap_or_default()),
                "headers" => members.next_value_seed(FieldsInto(&mut *line))?,
                "tls" => {
                    line.https = true;
                    members.next_value::<IgnoredAny>()?;
                }
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}
