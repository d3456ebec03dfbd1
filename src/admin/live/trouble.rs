//! What is wrong, over all else, and what was wrong, below it.

use std::fmt::Write as _;

use crate::{admin::status::StatusReport, web::html::Escaped};

use super::format::{duration, plural};

/// A sentence on how things are.
pub(super) fn state(status: &StatusReport) -> String {
    match status.lasting().count() {
        0 if status.ready => "All is well".to_owned(),
        0 => "No requests are accepted".to_owned(),
        n => format!("{n} {} attention", plural(n as u64, "thing needs", "things need")),
    }
}

/// Whether something is wrong that an operator has to mend.
pub(super) fn is_severe(status: &StatusReport) -> bool {
    !status.ready || status.lasting().any(|trouble| trouble.severe)
}

/// What is wrong now; nothing if all is well.
pub(super) fn write_lasting(html: &mut String, status: &StatusReport) {
    if status.lasting().next().is_none() {
        return;
    }
    html.push_str("<section class=banner aria-label=\"What is wrong\">\n");
    for trouble in status.lasting() {
        let tone = if trouble.severe { "bad" } else { "warning" };
        let _ = write!(
            html,
            "<div class=trouble data-kind={tone}><h2>{what}.</h2>",
            what = capitalised(&trouble.what)
        );
        if let Some(error) = &trouble.error {
            let _ = write!(html, "<p class=error>{}</p>", Escaped(error));
        }
        let _ = writeln!(
            html,
            "<p><b>What may help:</b> {cure}</p><p class=muted>for {age} <small class=code>{kind}</small></p></div>",
            cure = Escaped(&trouble.cure),
            age = duration(trouble.seconds as f64),
            kind = Escaped(trouble.kind),
        );
    }
    html.push_str("</section>\n");
}

/// What was wrong; nothing if nothing was.
pub(super) fn write_over(html: &mut String, status: &StatusReport) {
    if status.over().next().is_none() {
        return;
    }
    html.push_str("<section class=\"panel full\">\n<h2>Over</h2>\n<ul class=over>\n");
    for trouble in status.over() {
        let ago = trouble.over_seconds.unwrap_or(0);
        let lasted = trouble.seconds.saturating_sub(ago);
        let _ = write!(
            html,
            "<li>{what}. <span class=muted>Over for {ago}; it lasted {lasted}",
            what = capitalised(&trouble.what),
            ago = duration(ago as f64),
            lasted = duration(lasted as f64),
        );
        if trouble.times > 1 {
            let _ = write!(html, ", and has come {} times", trouble.times);
        }
        if let Some(error) = &trouble.error {
            let _ = write!(html, ": {}", Escaped(error));
        }
        let _ = writeln!(
            html,
            " <small class=code>{}</small></span></li>",
            Escaped(trouble.kind)
        );
    }
    html.push_str("</ul>\n</section>\n");
}

/// A text that begins with a capital letter, escaped.
fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    let text: String = match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    };
    Escaped(&text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::status::tests::{healthy, trouble};

    #[test]
    fn what_lasts_is_shown_with_its_cure_and_age_and_what_is_over_as_over() {
        let mut status = healthy();
        let (mut lasting, mut over) = (String::new(), String::new());
        write_lasting(&mut lasting, &status);
        write_over(&mut over, &status);
        assert_eq!((lasting.as_str(), over.as_str()), ("", ""));
        assert_eq!(
            (state(&status).as_str(), is_severe(&status)),
            ("All is well", false)
        );

        status.troubles = vec![trouble("app_down", None), trouble("queue_filling", Some(60))];
        status.troubles[1].times = 2;
        write_lasting(&mut lasting, &status);
        write_over(&mut over, &status);
        assert!(
            lasting.contains("<div class=trouble data-kind=bad><h2>App_down is wrong.</h2>"),
            "{lasting}"
        );
        assert!(
            lasting.contains("</b> mend it</p>") && lasting.contains("for 3 min 0 s"),
            "{lasting}"
        );
        assert!(!lasting.contains("queue_filling"), "{lasting}");
        assert!(
            over.contains(
                "Over for 1 min 0 s; it lasted 2 min 0 s, and has come 2 times: connection refused"
            ),
            "{over}"
        );
        assert!(!over.contains("app_down"), "{over}");
        assert_eq!(
            (state(&status).as_str(), is_severe(&status)),
            ("1 thing needs attention", true)
        );
    }
}
