//! gatecount's own format: `{"time": …, "peer": …, "method": …, "uri": …, "host": …, "scheme": …, "status": …,
//! "content_type": …, "headers": {…}}`.

use std::fmt;

use serde::{
    Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

use super::{
    line::LogLine,
    value::{self, FieldsInto, Scalar},
};

/// Reads a line. It has to be an object with a `uri`.
pub(super) fn parse(text: &str) -> Option<LogLine<'_>> {
    let mut json = serde_json::Deserializer::from_str(text);
    let line = json.deserialize_map(JsonLine).ok()?;
    json.end().ok()?;
    Some(line).filter(|line| !line.target.is_empty())
}

struct JsonLine;

impl<'de> Visitor<'de> for JsonLine {
    type Value = LogLine<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a log line")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<LogLine<'de>, A::Error> {
        let mut line = LogLine::default();
        while let Some(name) = value::name(&mut members)? {
            match &*name {
                "time" => line.time = members.next_value::<Scalar<'de>>()?.time(),
                "peer" => line.peer = members.next_value::<Scalar<'de>>()?.text(),
                "method" => line.method = members.next_value::<Scalar<'de>>()?.text().unwrap_or_default(),
                "uri" => line.set_target(members.next_value::<Scalar<'de>>()?.text().unwrap_or_default()),
                "host" => line.host = members.next_value::<Scalar<'de>>()?.text(),
                "scheme" => {
                    let scheme = members.next_value::<Scalar<'de>>()?.text();
                    line.https = scheme.is_some_and(|s| s.eq_ignore_ascii_case("https"));
                }
                "status" => line.status = members.next_value::<Scalar<'de>>()?.status(),
                "content_type" => line.content_type = members.next_value::<Scalar<'de>>()?.text(),
                "headers" => members.next_value_seed(FieldsInto(&mut line))?,
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(line)
    }
}
