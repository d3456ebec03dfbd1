//! Many requests, a line each; as many answers, a line each, in their order.

use std::io::{self, BufRead, BufReader, Read, Write};

use serde::Serialize;

use crate::config::DecisionRules;

use super::{request::Case, story::Story};

/// The longest line that is read, in bytes.
const LONGEST: u64 = 16 << 20;

#[derive(Debug, Serialize)]
struct Wrong {
    error: String,
}

/// Reads to the end of the input. What was answered is written out before more input is waited for, so that a
/// program can ask line by line.
pub(super) fn run(rules: &DecisionRules, input: impl Read, out: &mut impl Write) -> io::Result<()> {
    let mut input = BufReader::with_capacity(1 << 16, input);
    let mut line = Vec::new();
    loop {
        if input.buffer().is_empty() {
            out.flush()?;
        }
        line.clear();
        if input.by_ref().take(LONGEST).read_until(b'\n', &mut line)? == 0 {
            return out.flush();
        }
        let answer = if line.len() as u64 == LONGEST && !line.ends_with(b"\n") {
            input.skip_until(b'\n')?;
            Err(format!("a line of more than {LONGEST} bytes"))
        } else {
            Case::from_json(&line).and_then(|case| Story::tell(rules, &case))
        };
        match answer {
            Ok(story) => serde_json::to_writer(&mut *out, &story)?,
            Err(error) => serde_json::to_writer(&mut *out, &Wrong { error })?,
        }
        out.write_all(b"\n")?;
    }
}
