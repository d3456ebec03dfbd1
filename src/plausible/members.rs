//! The members of a JSON object that are read, as text. The rest of the object is checked and skipped,
//! however large and deep it is: reading takes no memory but for the list.

use std::fmt;

use serde::{
    Deserializer as _,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The keys of an event's body that Plausible reads.
const KEYS: &[&str] = &[
    "n",
    "name",
    "u",
    "url",
    "d",
    "domain",
    "r",
    "referrer",
    "m",
    "meta",
    "p",
    "props",
    "$",
    "revenue",
    "i",
    "interactive",
    "h",
    "hashMode",
    "sd",
    "e",
    "v",
];

/// The body is no JSON object.
#[derive(Debug, thiserror::Error)]
pub enum NotAnObject {
    /// It is no UTF-8, which JSON is written in (RFC 8259 §8.1).
    #[error("Unable to parse request body as json: {0}")]
    Utf8(#[from] std::str::Utf8Error),
    /// It is no JSON.
    #[error("Unable to parse request body as json: {0}")]
    Json(#[from] serde_json::Error),
    /// It is a list, a text or the like.
    #[error("body must be a JSON object")]
    OtherJson,
}

/// Those members of an object that are read, in the object's order. If a key occurs twice, the last one
/// counts, as in Plausible.
#[derive(Debug)]
pub struct Members<'a>(Vec<(&'static str, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads an event's body.
    ///
    /// # Errors
    /// [`NotAnObject`]
    pub fn read(body: &'a [u8]) -> Result<Self, NotAnObject> {
        let text = std::str::from_utf8(body)?;
        Members::of(text, KEYS)?.ok_or(NotAnObject::OtherJson)
    }

    /// The value of this key, as the JSON that was sent.
    pub fn get(&self, key: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().find(|(name, _)| *name == key);
        found.map(|(_, value)| *value)
    }

    /// Keys and values.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'a RawValue)> {
        self.0.iter().copied()
    }

    /// The first of the keys that is there and not null.
    pub(super) fn pick(&self, keys: &[&str]) -> Option<&'a RawValue> {
        let mut values = keys.iter().filter_map(|key| self.get(key));
        values.find(|value| value.get() != "null")
    }

    /// The members with these keys; `None` for JSON that is no object.
    pub(super) fn of(
        json: &'a str,
        keys: &'static [&'static str],
    ) -> Result<Option<Self>, serde_json::Error> {
        let mut members = Members(Vec::new());
        let known = |key: &str| keys.iter().find(|known| **known == key).copied();
        let is_object = for_each_member(json, known, |key, value| {
            members.0.retain(|(name, _)| *name != key);
            members.0.push((key, value));
        })?;
        Ok(is_object.then_some(members))
    }
}

/// Passes each member of an object whose key `pick` takes to `each`. False for JSON that is no object.
pub(super) fn for_each_member<'a, K>(
    json: &'a str,
    pick: impl Fn(&str) -> Option<K>,
    each: impl FnMut(K, &'a RawValue),
) -> Result<bool, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(json);
    let is_object = json.deserialize_any(MemberVisitor { pick, each })?;
    json.end()?;
    Ok(is_object)
}

/// Reads an object's members, and skips any other JSON.
struct MemberVisitor<P, E> {
    pick: P,
    each: E,
}

impl<'de, K, P, E> Visitor<'de> for MemberVisitor<P, E>
where
    P: Fn(&str) -> Option<K>,
    E: FnMut(K, &'de RawValue),
{
    /// Whether it is an object.
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<bool, A::Error> {
        while let Some(key) = map.next_key_seed(KeySeed(&self.pick))? {
            match key {
                Some(key) => (self.each)(key, map.next_value()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(true)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(false)
    }

    fn visit_unit<E2>(self) -> Result<bool, E2> {
        Ok(false)
    }

    fn visit_bool<E2>(self, _: bool) -> Result<bool, E2> {
        Ok(false)
    }

    fn visit_i64<E2>(self, _: i64) -> Result<bool, E2> {
        Ok(false)
    }

    fn visit_u64<E2>(self, _: u64) -> Result<bool, E2> {
        Ok(false)
    }

    fn visit_f64<E2>(self, _: f64) -> Result<bool, E2> {
        Ok(false)
    }

    fn visit_str<E2>(self, _: &str) -> Result<bool, E2> {
        Ok(false)
    }
}

/// Reads a key.
struct KeySeed<'p, P>(&'p P);

impl<'de, K, P: Fn(&str) -> Option<K>> DeserializeSeed<'de> for KeySeed<'_, P> {
    type Value = Option<K>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Option<K>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<K, P: Fn(&str) -> Option<K>> Visitor<'_> for KeySeed<'_, P> {
    type Value = Option<K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Option<K>, E> {
        Ok((self.0)(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_members_are_read_as_they_were_sent_and_the_last_of_a_key_counts() {
        let body = br#" {"n" : "a\u0062", "x": [1, {"n": 2}], "u":1, "n": {"a" : [ 1 ]}, "\u0065": 7} "#;
        let members = Members::read(body).unwrap();
        let listed: Vec<_> = members.iter().map(|(key, value)| (key, value.get())).collect();
        assert_eq!(listed, [("u", "1"), ("n", "{\"a\" : [ 1 ]}"), ("e", "7")]);
        assert_eq!(members.pick(&["d", "u"]).unwrap().get(), "1");
    }

    #[test]
    fn what_is_skipped_may_be_as_deep_as_it_likes_and_has_to_be_json() {
        let deep = |open: &str, close: &str| {
            format!(
                "{{\"x\":{}{},\"n\":\"a\"}}",
                open.repeat(100_000),
                close.repeat(100_000)
            )
        };
        assert!(Members::read(deep("[", "]").as_bytes()).is_ok());
        for body in [
            deep("[", ""),
            "{\"x\":tru}".into(),
            "{} x".into(),
            "[1,2".into(),
            "{\"n\":1,}".into(),
        ] {
            let error = Members::read(body.as_bytes()).unwrap_err();
            assert!(matches!(error, NotAnObject::Json(_)), "{body:.20}: {error}");
        }
        for body in [
            "[[]]",
            "null",
            "true",
            "-1",
            "1",
            "1.5",
            "\"text\"",
            "\"a\\u0062\"",
        ] {
            let error = Members::read(body.as_bytes()).unwrap_err();
            assert!(matches!(error, NotAnObject::OtherJson), "{body}: {error}");
        }
    }
}
