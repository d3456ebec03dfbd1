//! In what the protocols may differ: the whole list, each with the section that asks for it.
//!
//! What hyper's client can't send is not here but in `secure::http2::requests`: over HTTP/2 a target with
//! `<` or `>`, a backtick in its path or a `"` in its query is refused by a reset (RFC 9113 §8.3.1, RFC
//! 3986 §3.3), and a fragment is cut off, where HTTP/1.1 hands all of them on as they came.

use std::{collections::BTreeMap, iter};

use super::{
    Answered, Fields, Observed, Told,
    cases::{Case, SAID_TO_BE_HTTP, Visitor},
    ways::Way,
};

/// One difference: how what is seen over HTTP/1.1 in plain text becomes what is to be seen another way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Difference {
    pub(super) name: &'static str,
    /// Where it is asked for, or why it is so.
    pub(super) section: &'static str,
    holds: fn(Way) -> bool,
    rule: Rule,
}

#[derive(Debug, Clone, Copy)]
enum Rule {
    /// Of what is expected of a request.
    Expect(fn(&Case, &mut Observed)),
    /// Of what is not compared.
    Leave(fn(&mut Observed)),
    /// Of what Plausible is to be told.
    Tell(fn(&mut Told)),
    /// Of what is to be counted.
    Count(fn(&mut BTreeMap<String, u64>)),
}

/// The list.
const ALL: &[Difference] = &[
    Difference {
        name: "the scheme that the app is told is https",
        section: "RFC 9110 §4.2.2",
        holds: Way::is_tls,
        rule: Rule::Expect(|case, observed| {
            for asked in &mut observed.app {
                tell_https(case, &mut asked.fields);
            }
        }),
    },
    Difference {
        name: "the scheme of a page's URL is https",
        section: "RFC 9110 §4.2.2",
        holds: Way::is_tls,
        rule: Rule::Tell(|told| {
            if let Some(rest) = url(told).strip_prefix("http:")
                && !rest.ends_with(SAID_TO_BE_HTTP)
            {
                told.body["url"] = format!("https:{rest}").into();
            }
        }),
    },
    Difference {
        name: "names are in lower case",
        section: "RFC 9113 §8.2.1",
        holds: Way::is_http2,
        rule: Rule::Expect(|case, observed| {
            let sent = case.request.fields();
            for asked in &mut observed.app {
                let trailers = asked.trailers.iter_mut();
                // Of the others gatecount writes itself.
                let fields = asked.fields.iter_mut();
                let fields =
                    fields.filter(|(name, _)| sent.iter().any(|(sent, _)| sent == name) && !is_ours(name));
                fields
                    .chain(trailers)
                    .for_each(|(name, _)| name.make_ascii_lowercase());
            }
            if let Answered::Response { fields, trailers, .. } = &mut observed.client {
                let all = fields.iter_mut().chain(trailers);
                all.for_each(|(name, _)| name.make_ascii_lowercase());
            }
        }),
    },
    Difference {
        name: "fields of different names may change places",
        section: "RFC 9110 §5.3",
        holds: Way::is_http2,
        rule: Rule::Leave(|observed| {
            for asked in &mut observed.app {
                sort(&mut asked.fields);
                sort(&mut asked.trailers);
            }
            if let Answered::Response { fields, trailers, .. } = &mut observed.client {
                sort(fields);
                sort(trailers);
            }
        }),
    },
    Difference {
        name: "cookies in several fields are joined",
        section: "RFC 9113 §8.2.3",
        holds: Way::is_http2,
        rule: Rule::Expect(|_, observed| {
            for asked in &mut observed.app {
                join_cookies(&mut asked.fields);
            }
        }),
    },
    Difference {
        name: "no field of the connection is in a response",
        section: "RFC 9113 §8.2.2",
        holds: Way::is_http2,
        rule: Rule::Expect(|_, observed| {
            if let Answered::Response { fields, .. } = &mut observed.client {
                fields.retain(|(name, _)| {
                    !["connection", "transfer-encoding", "upgrade"].contains(&name.as_str())
                });
            }
        }),
    },
    Difference {
        name: "a status has no phrase",
        section: "RFC 9113 §8.3.1",
        holds: Way::is_http2,
        rule: Rule::Expect(|_, observed| {
            if let Answered::Response { reason, .. } = &mut observed.client {
                reason.clear();
            }
        }),
    },
    Difference {
        name: "of a response that was cut nothing may have come",
        section: "RFC 9113 §5.4.2; h2 drops what it has not sent of a stream that is reset",
        holds: Way::is_http2,
        rule: Rule::Leave(|observed| {
            let cut = match &observed.client {
                Answered::Response { complete, .. } => !complete,
                Answered::Broken(reason) => reason.contains("unexpected internal error"),
            };
            if cut {
                observed.client = Answered::Broken("cut".into());
            }
        }),
    },
    Difference {
        name: "interim responses are dropped",
        section: "RFC 9110 §15.2, which hyper's server can't keep",
        holds: Way::is_http2,
        rule: Rule::Expect(|_, observed| {
            if let Answered::Response { interim, .. } = &mut observed.client {
                interim.clear();
            }
        }),
    },
    Difference {
        name: "h2 answers a head that is too large, in a word and uncounted",
        section: "RFC 9113 §10.5.1",
        holds: Way::is_http2,
        rule: Rule::Expect(|_, observed| {
            if let Answered::Response {
                status: 431,
                fields,
                body,
                ..
            } = &mut observed.client
            {
                fields.clear();
                body.clear();
            }
        }),
    },
    Difference {
        name: "an answer of h2's own is not among the responses that are counted",
        section: "RFC 9113 §10.5.1",
        holds: Way::is_http2,
        rule: Rule::Count(|counted| {
            if let Some(count) = counted.get_mut("gatecount_requests_total 4xx") {
                *count -= 1;
            }
        }),
    },
    Difference {
        name: "dropped interim responses are counted",
        section: "RFC 9110 §15.2",
        holds: Way::is_http2,
        rule: Rule::Count(|counted| {
            counted.insert("gatecount_http2_interim_dropped_total".into(), INTERIM);
        }),
    },
    Difference {
        name: "a WebSocket begins with 200 and without an answer to its key",
        section: "RFC 8441 §5",
        holds: Way::is_http2,
        rule: Rule::Expect(|_, observed| {
            if let Answered::Response {
                status: status @ 101,
                fields,
                ..
            } = &mut observed.client
            {
                *status = 200;
                fields.retain(|(name, _)| name != "sec-websocket-accept");
            }
        }),
    },
    Difference {
        name: "a WebSocket's key is gatecount's own",
        section: "RFC 8441 §5",
        holds: Way::is_http2,
        rule: Rule::Leave(|observed| {
            for asked in &mut observed.app {
                let keys = asked.fields.iter_mut();
                let keys = keys.filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"));
                keys.for_each(|(name, value)| {
                    (*name, *value) = ("a key".into(), format!("of {}", value.len()));
                });
            }
        }),
    },
];

/// How many interim responses the cases have.
const INTERIM: u64 = 6;

/// The list, and which of it was needed.
pub(super) struct Differences {
    used: Vec<bool>,
}

impl Differences {
    pub(super) fn new() -> Differences {
        Differences {
            used: vec![false; ALL.len()],
        }
    }

    /// What is expected this way where the first way came to `base`, and what was seen, both without what is
    /// not compared.
    pub(super) fn of_request(
        &mut self,
        way: Way,
        case: &Case,
        base: &Observed,
        seen: &Observed,
    ) -> (Observed, Observed) {
        let (mut expected, mut seen) = (base.clone(), seen.clone());
        for (difference, used) in self.that_hold(way) {
            let before = expected.clone();
            match difference.rule {
                Rule::Expect(rule) => rule(case, &mut expected),
                Rule::Leave(rule) => {
                    rule(&mut expected);
                    rule(&mut seen);
                }
                Rule::Tell(_) | Rule::Count(_) => {}
            }
            *used |= expected != before;
        }
        (expected, seen)
    }

    /// What Plausible is to be told this way.
    pub(super) fn of_event(&mut self, way: Way, base: &Told) -> Told {
        let mut expected = base.clone();
        for (difference, used) in self.that_hold(way) {
            if let Rule::Tell(rule) = difference.rule {
                rule(&mut expected);
                *used |= expected != *base;
            }
        }
        expected
    }

    /// What is to be counted this way.
    pub(super) fn of_counts(&mut self, way: Way, base: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
        let mut expected = base.clone();
        for (difference, used) in self.that_hold(way) {
            if let Rule::Count(rule) = difference.rule {
                rule(&mut expected);
                *used |= expected != *base;
            }
        }
        expected
    }

    /// Those that made no difference.
    pub(super) fn unused(&self) -> impl Iterator<Item = &'static Difference> {
        iter::zip(ALL, &self.used)
            .filter(|(_, used)| !**used)
            .map(|(difference, _)| difference)
    }

    fn that_hold(&mut self, way: Way) -> impl Iterator<Item = (&'static Difference, &mut bool)> {
        iter::zip(ALL, &mut self.used).filter(move |(difference, _)| (difference.holds)(way))
    }
}

/// What gatecount says itself of the scheme; what a trusted proxy said stays.
fn tell_https(case: &Case, fields: &mut Fields) {
    let proxy = case.visitor == Visitor::BehindProxy;
    let said = |name: &str| {
        proxy
            && case
                .request
                .fields()
                .iter()
                .any(|(n, _)| n.eq_ignore_ascii_case(name))
    };
    let (proto, port) = (said("x-forwarded-proto"), said("x-forwarded-port"));
    for (name, value) in fields {
        match name.as_str() {
            "x-forwarded-proto" if !proto => *value = "https".into(),
            "x-forwarded-port" if !port && value == "80" => *value = "443".into(),
            "forwarded" if !proto && !said("forwarded") => {
                *value = value.replace("proto=http", "proto=https");
            }
            _ => {}
        }
    }
}

fn url(told: &Told) -> String {
    told.body["url"].as_str().unwrap_or_default().to_owned()
}

/// Whether gatecount writes the field itself, also where the client sent one of this name.
fn is_ours(name: &str) -> bool {
    ["host", "content-length", "te", "expect", "connection", "upgrade"]
        .contains(&name.to_ascii_lowercase().as_str())
}

fn sort(fields: &mut Fields) {
    fields.sort_by_key(|(name, _)| name.to_ascii_lowercase());
}

fn join_cookies(fields: &mut Fields) {
    let (cookies, mut others): (Fields, Fields) = fields.drain(..).partition(|(name, _)| name == "cookie");
    let crumbs: Vec<&str> = cookies.iter().map(|(_, value)| value.as_str()).collect();
    if !crumbs.is_empty() {
        others.push(("cookie".into(), crumbs.join("; ")));
    }
    *fields = others;
    sort(fields);
}
