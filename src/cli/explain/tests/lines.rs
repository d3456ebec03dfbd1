//! How lines are read and answered.

use std::io;

use serde_json::json;

use super::{SITE, batch, page, rules};

#[test]
fn every_line_gets_its_answer_in_its_place() {
    let good = page().to_string();
    let wrong = [
        "",
        "   ",
        "nonsense",
        "[]",
        "{}",
        r#"{"url": 7}"#,
        r#"{"url": "/", "header": []}"#,
        r#"{"url": "/", "headers": [["a"]]}"#,
        r#"{"url": "/", "headers": [["a", "b\r\nc: d"]]}"#,
        r#"{"url": "/", "headers": [["a: b", "c"]]}"#,
        r#"{"url": "/", "headers": [["host", "a"], ["host", "b"]]}"#,
        r#"{"url": "/a b"}"#,
        r#"{"url": "example.com"}"#,
        r#"{"url": "/", "method": "GET /x HTTP/1.1\r\nA: b\r\n\r\nGET"}"#,
        r#"{"url": "/", "peer": "nobody"}"#,
        r#"{"url": "/", "response": {"status": 100}}"#,
        r#"{"url": "/", "response": {}}"#,
        "{\"url\": \"/\u{0}\"}",
    ];
    let mut input = Vec::new();
    for line in wrong {
        input.extend_from_slice(format!("{line}\n{good}\n").as_bytes());
    }
    input.extend_from_slice(b"\"\xff\xfe\"\n");
    input.extend_from_slice(good.as_bytes());
    let answers = batch(SITE, &input);
    assert_eq!(answers.len(), 2 * (wrong.len() + 1));
    for (index, pair) in answers.chunks(2).enumerate() {
        let told = pair[0].as_object().unwrap();
        assert!(
            told.len() == 1 && told["error"].is_string(),
            "{:?}: {told:?}",
            wrong.get(index)
        );
        assert_eq!(pair[1]["decision"], "counted");
    }
}

#[test]
fn a_line_without_an_end_is_bounded() {
    let mut input = vec![b'x'; (16 << 20) + 10];
    input.extend_from_slice(format!("\n{}", page()).as_bytes());
    let answers = batch(SITE, &input);
    assert_eq!(answers[0], json!({"error": "a line of more than 16777216 bytes"}));
    assert_eq!((answers.len(), &answers[1]["decision"]), (2, &json!("counted")));
}

/// Gives its lines one by one, and asks of each that the answers to those before it were written.
struct Conversation<'a> {
    lines: Vec<String>,
    asked: usize,
    heard: &'a std::cell::Cell<usize>,
}

impl io::Read for Conversation<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert_eq!(self.heard.get(), self.asked, "an answer was held back");
        let Some(line) = self.lines.get(self.asked) else {
            return Ok(0);
        };
        self.asked += 1;
        buffer[..line.len()].copy_from_slice(line.as_bytes());
        Ok(line.len())
    }
}

/// Counts the lines that were flushed.
struct Listener<'a> {
    lines: usize,
    heard: &'a std::cell::Cell<usize>,
}

impl io::Write for Listener<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lines += memchr::memchr_iter(b'\n', bytes).count();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.heard.set(self.lines);
        Ok(())
    }
}

#[test]
fn answers_are_written_before_more_is_waited_for() {
    let heard = std::cell::Cell::new(0);
    let input = Conversation {
        lines: vec![format!("{}\n", page()), "wrong\n".to_owned()],
        asked: 0,
        heard: &heard,
    };
    let mut out = Listener {
        lines: 0,
        heard: &heard,
    };
    super::super::batch::run(&rules(SITE), input, &mut out).unwrap();
    assert_eq!(heard.get(), 2);
}
