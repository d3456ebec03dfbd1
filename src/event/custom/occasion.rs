//! One request with its response, as the reporting of events needs it.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::event::rules::masked;
use crate::facts::{RequestFacts, ResponseFacts};
use crate::page::Glob;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Occasion<'a> {
    /// The request.
    pub request: RequestFacts<'a>,
    /// The visitor used https.
    pub https: bool,
    /// The host that the visitor used, with its port.
    pub host: Option<&'a str>,
    /// The visitor's address.
    pub client: Option<IpAddr>,
    /// The domains of the site that has this host, joined by commas.
    pub domain: Option<&'a str>,
    /// Paths that match one of these are told as the pattern.
    pub mask: &'a [Glob],
    /// The response that the visitor got.
    pub response: &'a ResponseFacts<'a>,
}

impl<'a> Occasion<'a> {
    /// The path of the request, or the pattern that masks it.
    pub(super) fn shown_path(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(masked(self.mask, self.request.path().as_bytes()))
    }

    /// The query of the request, without its `?`.
    pub(super) fn query(&self) -> Option<&'a str> {
        self.request.target.split_once('?').map(|(_, query)| query)
    }
}
