//! What is told about a request once it is decided.

use std::{fmt, net::IpAddr};

use crate::{client::ClientFrom, clock::Moment, page::Verdict};

/// Is told the decisions about requests whose page views were held, each once.
pub trait HeldDecisions: fmt::Debug + Send + Sync {
    /// It is decided.
    fn decided(&self, request: DecidedRequest);
}

/// A request about which it is decided now.
#[derive(Debug, PartialEq, Eq)]
pub struct DecidedRequest {
    /// When, by delivery's clock.
    pub at: Moment,
    /// The decision.
    pub verdict: Verdict,
    /// The request. `None` if so many were held that this one was not kept, or if an earlier process had it.
    pub shown: Option<Box<ShownRequest>>,
}

/// A request as operators are shown it.
#[derive(Debug, PartialEq, Eq)]
pub struct ShownRequest {
    /// The method.
    pub method: &'static str,
    /// The host of the page.
    pub host: String,
    /// The path of the page, without the query.
    pub path: String,
    /// The status that the client got; 0 if it is not known.
    pub status: u16,
    /// The client.
    pub client: IpAddr,
    /// Where its address came from.
    pub from: ClientFrom,
}
