//! Many requests, one per line, and their answers in the same order.

use std::io::{self, BufRead, BufReader, Read, Write};

use serde::Serialize;

use crate::config::DecisionRules;

use super::{
    request::Case,
    story::{NoStory, Story},
};

/// The longest line that is read, in bytes.
const MAX_LINE: u64 = 16 << 20;

/// In the place of a story.
#[derive(Debug, Serialize)]
pub(super) struct Wrong {
    error: String,
}

impl Wrong {
    pub(super) fn of(why: &NoStory) -> Self {
        Wrong {
            error: why.to_string(),
        }
    }
}

/// Answers every line of the input. The answers are flushed before waiting for more input, so that a program
/// can ask line by line.
pub(super) fn run(rules: &DecisionRules, input: impl Read, out: &mut impl Write) -> io::Result<()> {
    let mut input = BufReader::with_capacity(1 << 16, input);
    let mut line = Vec::new();
    loop {
        if input.buffer().is_empty() {
            out.flush()?;
        }
        line.clear();
        if input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            return out.flush();
        }
        let answer = if line.len() as u64 == MAX_LINE && !line.ends_with(b"\n") {
            input.skip_until(b'\n')?;
            Err(format!("a line of more than {MAX_LINE} bytes"))
        } else {
            Case::from_json(&line).and_then(|case| Story::tell(rules, &case).map_err(|why| why.to_string()))
        };
        match answer {
            Ok(story) => serde_json::to_writer(&mut *out, &story)?,
            Err(error) => serde_json::to_writer(&mut *out, &Wrong { error })?,
        }
        out.write_all(b"\n")?;
    }
}
