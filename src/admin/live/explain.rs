//! The box that a request is pasted into, and what becomes of it.

use std::fmt::Write as _;

use crate::{
    admin::{inputs::Explanation, words},
    web::html::Escaped,
};

/// A pasted request, as it was asked about.
#[derive(Debug, Default)]
pub(super) struct Pasted<'a> {
    pub(super) request: &'a str,
    pub(super) peer: &'a str,
    /// What becomes of it, or why it can't be read.
    pub(super) answer: Option<&'a Result<Explanation, String>>,
}

/// Writes the box.
pub(super) fn write(html: &mut String, pasted: &Pasted<'_>) {
    let _ = writeln!(
        html,
        "<section class=\"panel full\" data-keep=explain>\n<h2>Why is a request counted, or not?</h2>\n\
         <form class=explain action=explain data-explain><label for=request>Paste a request, or a curl command as the \
         browser's developer tools copy it. An address alone is asked for as a browser would.</label>\
         <textarea id=request name=request rows=5 required spellcheck=false \
         placeholder=\"curl 'https://example.com/' -H 'User-Agent: Mozilla/5.0 …'\">{request}</textarea>\
         <p class=row><label>It comes from <input name=peer value=\"{peer}\" placeholder=\"127.0.0.1\" \
         autocomplete=off spellcheck=false></label><button>Explain</button></p></form>",
        request = Escaped(pasted.request),
        peer = Escaped(pasted.peer),
    );
    html.push_str("<div id=explained class=explained role=status>");
    match pasted.answer {
        None => {}
        Some(Err(error)) => {
            let _ = write!(html, "<p class=error>{}</p>", Escaped(error));
        }
        Some(Ok(explanation)) => write_explanation(html, explanation),
    }
    html.push_str("</div>\n</section>\n");
}

fn write_explanation(html: &mut String, explanation: &Explanation) {
    let words = words::of_decision(&explanation.decision);
    let _ = write!(
        html,
        "<p><span class=badge data-kind={kind}>{plain}</span> <small class=code>{code}</small> {why}</p>\
         <pre tabindex=0 aria-label=\"The whole story\">{story}</pre>\
         <p class=muted>An answer of 200 with HTML is taken for granted; <code>gatecount explain</code> takes others.</p>",
        kind = words.group.label(),
        plain = words.plain,
        code = Escaped(&explanation.decision),
        why = Escaped(&explanation.why),
        story = lines(&explanation.story),
    );
}

/// A text of several lines, escaped.
fn lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| Escaped(line).to_string()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(answer: Option<&Result<Explanation, String>>) -> String {
        let mut html = String::new();
        let pasted = Pasted {
            request: "</textarea><b>",
            peer: "\"><b>",
            answer,
        };
        write(&mut html, &pasted);
        assert!(!html.contains("<b>"), "{html}");
        html
    }

    #[test]
    fn what_was_pasted_and_what_is_told_of_it_is_escaped() {
        assert!(boxed(None).contains("&lt;/textarea&gt;&lt;b&gt;</textarea>"));
        let html = boxed(Some(&Err("<b> is no method".to_owned())));
        assert!(
            html.contains("<p class=error>&lt;b&gt; is no method</p>"),
            "{html}"
        );
        let html = boxed(Some(&Ok(Explanation {
            decision: "bot".to_owned(),
            why: "It says <b>.".to_owned(),
            story: "Request: GET /<b>\n  - a bot".to_owned(),
        })));
        assert!(
            html.contains(">Bot</span> <small class=code>bot</small> It says &lt;b&gt;."),
            "{html}"
        );
        assert!(
            html.contains(">Request: GET /&lt;b&gt;\n  - a bot</pre>"),
            "{html}"
        );
    }
}
