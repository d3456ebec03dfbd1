//! A request for a dedicated path, and how it goes on.

use std::net::IpAddr;

use super::{
    answer::{Answering, DedicatedAnswer},
    receive::Receiving,
};
use crate::facts::RequestFacts;

/// What a request's head says.
#[derive(Debug, Clone, Copy)]
pub struct DedicatedRequest<'a> {
    /// Its facts.
    pub facts: RequestFacts<'a>,
    /// The visitor's address, if it is known.
    pub client: Option<IpAddr>,
    /// The length of its body in bytes, if that is told.
    pub length: Option<u64>,
}

/// How the request goes on.
pub enum Reply {
    /// It is answered, whether or not its body has arrived.
    Answer(Answering),
    /// Its body is wanted first.
    Body(Box<Receiving>),
}

impl Reply {
    /// Whether it is answered with success, and at once.
    pub fn is_success(&self) -> bool {
        matches!(self, Reply::Answer(Answering::Ready(answer)) if answer.status < 300)
    }
}

impl From<DedicatedAnswer> for Reply {
    fn from(answer: DedicatedAnswer) -> Self {
        Reply::Answer(Answering::Ready(answer))
    }
}
