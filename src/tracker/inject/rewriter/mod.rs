//! Rewrites a page's body: bytes in, bytes out, in the body's own coding.
//!
//! Until it is known that the script goes in, the app's bytes are kept as they came, and go on so where
//! anything fails or the page gets no script. From then on a coded body is decoded and encoded anew.

use std::{io, mem, rc::Rc};

use super::{
    Page,
    coding::{DamagedBody, Decoder, Encoder, FIRST, Wire},
    room::Room,
    splice::{Outcome, Splice},
};
use crate::{headers::MissingSource, page::ContentCoding};

/// Coded bytes that are kept until the page's head is decoded.
const KEPT: usize = 128 * 1024;
/// Bytes decoded at once.
const PIECE: usize = 16 * 1024;

/// See the module.
pub struct Rewriter {
    splice: Splice,
    state: State,
    _room: Room,
}

enum State {
    /// The body has no coding.
    Plain,
    /// The body is coded, and nothing of it has gone on: the app's bytes.
    Kept(ContentCoding, Vec<u8>, Option<Transcoder>),
    /// The body is encoded anew.
    Coded(Transcoder, Encoder),
    /// What comes goes on as it is.
    Through,
    /// Nothing can go on.
    Broken,
}

struct Transcoder {
    wire: Wire,
    decoder: Decoder,
    /// Where bytes are decoded into.
    decoded: Box<[u8]>,
    /// Decoded bytes on their way to the encoder.
    page: Vec<u8>,
    /// The coded data was complete at its last byte.
    complete: bool,
}

impl Rewriter {
    pub(super) fn new(page: Rc<Page>, coding: ContentCoding, room: Room) -> Self {
        Rewriter {
            splice: Splice::new(page),
            state: match coding {
                ContentCoding::Identity => State::Plain,
                coded => State::Kept(coded, Vec::new(), None),
            },
            _room: room,
        }
    }

    /// Takes a piece of the body, and appends to `out` what can go on.
    ///
    /// # Errors
    /// [`DamagedBody`] where the body is damaged at a place from which it can't go on as it came. What was
    /// decoded before that place is in `out`.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), DamagedBody> {
        match &mut self.state {
            State::Through => {
                out.extend_from_slice(piece);
                Ok(())
            }
            State::Plain => {
                self.splice.push(piece, out);
                if self.splice.outcome() != &Outcome::Open && !self.splice.is_watching() {
                    self.state = State::Through;
                }
                Ok(())
            }
            State::Kept(_, kept, transcoder) => {
                // Before anything that might fail, so that it can go on as it is.
                let start = if transcoder.is_some() { kept.len() } else { 0 };
                kept.extend_from_slice(piece);
                self.look(start, out)
            }
            State::Coded(..) => self.recode(piece, out),
            State::Broken => Err(DamagedBody),
        }
    }

    /// The app has sent no more for now: what was taken goes on, as far as it can.
    ///
    /// # Errors
    /// [`DamagedBody`]
    pub fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), DamagedBody> {
        match &mut self.state {
            State::Coded(_, encoder) => encoder.flush(out).map_err(no_encoder),
            _ => Ok(()),
        }
    }

    /// The body has ended: appends what is left. Where coded data is not complete, what goes on is not
    /// either.
    ///
    /// # Errors
    /// [`DamagedBody`]
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), DamagedBody> {
        match mem::replace(&mut self.state, State::Through) {
            State::Plain => self.splice.finish(out),
            State::Kept(_, kept, Some(mut transcoder)) if transcoder.complete => {
                self.splice.finish(&mut transcoder.page);
                if self.splice.outcome() == &Outcome::Inserted
                    && let Ok(encoder) = Encoder::new(transcoder.wire)
                {
                    return transcoder.end(encoder, out).map_err(no_encoder);
                }
                out.extend_from_slice(&kept);
            }
            State::Kept(_, kept, _) => out.extend_from_slice(&kept),
            State::Coded(mut transcoder, encoder) => {
                self.splice.finish(&mut transcoder.page);
                return transcoder.end(encoder, out).map_err(no_encoder);
            }
            State::Through => {}
            State::Broken => return Err(DamagedBody),
        }
        Ok(())
    }

    /// Whether bytes go on as they come from now on.
    pub fn is_through(&self) -> bool {
        matches!(self.state, State::Through)
    }

    /// What the page's own policies lack, if it gets no script for that.
    pub fn blocked(&self) -> Option<&MissingSource> {
        match self.splice.outcome() {
            Outcome::Blocked(missing) => Some(missing),
            _ => None,
        }
    }

    /// Gives up over a fault of our own: appends what was taken and has not gone on.
    ///
    /// # Errors
    /// [`DamagedBody`] where the rest can't go on as it came.
    pub fn give_up(&mut self, out: &mut Vec<u8>) -> Result<(), DamagedBody> {
        match mem::replace(&mut self.state, State::Through) {
            State::Plain => out.extend_from_slice(self.splice.held()),
            State::Kept(_, kept, _) => out.extend_from_slice(&kept),
            State::Through => {}
            State::Coded(..) | State::Broken => {
                self.state = State::Broken;
                return Err(DamagedBody);
            }
        }
        Ok(())
    }

    /// Decodes what is kept from `start` on, until it is known whether the script goes in.
    fn look(&mut self, start: usize, out: &mut Vec<u8>) -> Result<(), DamagedBody> {
        let State::Kept(coding, kept, slot) = &mut self.state else {
            return Ok(());
        };
        if kept.len() < FIRST {
            return Ok(());
        }
        if slot.is_none() {
            let transcoder = Wire::read(*coding, kept)
                .ok_or(DamagedBody)
                .and_then(Transcoder::new);
            let Ok(transcoder) = transcoder else {
                return self.give_up(out);
            };
            *slot = Some(transcoder);
        }
        let Some(transcoder) = slot else { return Ok(()) };
        let mut at = start;
        loop {
            let Ok(moved) = transcoder.step(&kept[at..], &mut self.splice) else {
                return self.give_up(out);
            };
            at += moved.unwrap_or(0);
            let is_whole = transcoder.complete && !transcoder.decoder.goes_on();
            if is_whole {
                self.splice.finish(&mut transcoder.page);
            }
            match self.splice.outcome() {
                Outcome::Untouched | Outcome::Blocked(_) => return self.give_up(out),
                Outcome::Open if transcoder.page.is_empty() => {}
                Outcome::Open | Outcome::Inserted => break,
            }
            if moved.is_none() || is_whole {
                return if kept.len() > KEPT {
                    self.give_up(out)
                } else {
                    Ok(())
                };
            }
        }
        let Ok(encoder) = Encoder::new(transcoder.wire) else {
            return self.give_up(out);
        };
        match mem::replace(&mut self.state, State::Broken) {
            State::Kept(_, kept, Some(transcoder)) => {
                self.state = State::Coded(transcoder, encoder);
                self.recode(&kept[at..], out)
            }
            _ => Err(DamagedBody),
        }
    }

    /// Decodes a piece and encodes it anew.
    fn recode(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), DamagedBody> {
        let State::Coded(transcoder, encoder) = &mut self.state else {
            return Err(DamagedBody);
        };
        let mut at = 0;
        loop {
            encoder.write(&transcoder.page, out).map_err(no_encoder)?;
            transcoder.page.clear();
            if transcoder.complete && !transcoder.decoder.goes_on() {
                self.finish(out)?;
                out.extend_from_slice(&piece[at..]);
                return Ok(());
            }
            match transcoder.step(&piece[at..], &mut self.splice) {
                Ok(Some(read)) => at += read,
                Ok(None) => return Ok(()),
                Err(damaged) => {
                    encoder.flush(out).map_err(no_encoder)?;
                    self.state = State::Broken;
                    return Err(damaged);
                }
            }
        }
    }
}

impl Transcoder {
    fn new(wire: Wire) -> Result<Self, DamagedBody> {
        Ok(Transcoder {
            wire,
            decoder: Decoder::new(wire)?,
            decoded: vec![0; PIECE].into_boxed_slice(),
            page: Vec::new(),
            complete: false,
        })
    }

    /// Decodes a piece of `input` for the page. The bytes that were taken; `None` if nothing moved.
    fn step(&mut self, input: &[u8], splice: &mut Splice) -> Result<Option<usize>, DamagedBody> {
        let step = self.decoder.step(input, &mut self.decoded)?;
        if step.read == 0 && step.written == 0 {
            return Ok(None);
        }
        self.complete = step.complete;
        if step.written > 0 {
            splice.push(&self.decoded[..step.written], &mut self.page);
        }
        Ok(Some(step.read))
    }

    /// Encodes the last of the page.
    fn end(self, mut encoder: Encoder, out: &mut Vec<u8>) -> io::Result<()> {
        encoder.write(&self.page, out)?;
        if self.complete {
            encoder.finish(out)
        } else {
            encoder.flush(out)
        }
    }
}

/// The encoders write into memory, and fail by a fault of ours alone.
#[allow(clippy::needless_pass_by_value)] // the form that map_err wants
fn no_encoder(_: io::Error) -> DamagedBody {
    DamagedBody
}

#[cfg(test)]
mod tests;
