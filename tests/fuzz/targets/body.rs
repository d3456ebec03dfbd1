//! A body read in pieces of any size, and what must hold of each step.

use gatecount_fuzz::http1::{Body, ChunkedError};

/// What was made of a body's bytes.
#[derive(Debug, PartialEq)]
pub struct Read {
    pub data: Vec<u8>,
    pub trailers: Vec<u8>,
    pub end: End,
}

/// How far the reading came.
#[derive(Debug, PartialEq)]
pub enum End {
    /// To the body's end, after so many bytes.
    Done(usize),
    /// To the end of the bytes; more are needed.
    Open,
    /// To what is no body.
    Malformed(ChunkedError),
}

/// Reads pieces of `size` bytes.
pub fn read(mut body: Body, bytes: &[u8], size: usize) -> Read {
    let (mut data, mut trailers, mut used) = (Vec::new(), Vec::new(), 0);
    let end = 'reading: {
        for piece in bytes.chunks(size) {
            let mut at = 0;
            while at < piece.len() && !body.is_done() {
                let input = &piece[at..];
                let step = match body.step(input, &mut trailers) {
                    Ok(step) => step,
                    Err(error) => break 'reading End::Malformed(error),
                };
                assert!(
                    (1..=input.len()).contains(&step.used),
                    "it stands still or runs ahead"
                );
                let (taken, given) = (input[..step.used].as_ptr_range(), step.data.as_ptr_range());
                assert!(step.data.is_empty() || (taken.start <= given.start && given.end <= taken.end));
                data.extend_from_slice(step.data);
                at += step.used;
            }
            used += at;
        }
        if body.is_done() {
            End::Done(used)
        } else {
            End::Open
        }
    };
    assert!(
        trailers.is_empty() || matches!(end, End::Done(_)),
        "trailers before the end"
    );
    Read { data, trailers, end }
}
