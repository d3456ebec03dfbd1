//! The live page: what is wrong, four figures, the last hour, the newest decisions, and a box that explains a
//! request.

mod cards;
mod decisions;
mod explain;
mod format;
mod hour;
mod trouble;

use std::{fmt::Write as _, net::SocketAddr};

use hyper::Response;

use crate::web::{
    form,
    html::{Escaped, Icon, LivePage},
    response::ResponseBody,
};

use super::{
    decision::DecisionRecord,
    history::History,
    inputs::Explanation,
    status::{StatusReport, StreamRole},
};
use decisions::Filter;
use explain::Pasted;
use format::duration;

/// What the page shows.
pub(super) struct Shown<'a> {
    pub(super) status: &'a StatusReport,
    pub(super) history: &'a History,
    pub(super) decisions: &'a [DecisionRecord],
    /// Of the request for the page.
    pub(super) query: &'a str,
    /// Texts with the addresses of pages that belong to it.
    pub(super) links: &'a [(String, String)],
}

/// Renders the page.
pub(super) fn page(shown: &Shown<'_>) -> Response<ResponseBody> {
    let main = main(shown);
    let severe = trouble::is_severe(shown.status);
    let (title, icon) = match shown.status.lasting().count() {
        0 if !severe => ("gatecount".to_owned(), Icon::Calm),
        _ if severe => (title(shown.status), Icon::Trouble),
        _ => (title(shown.status), Icon::Warning),
    };
    LivePage {
        title: &title,
        icon,
        events: Some("decisions"),
        forms: true,
        main: &main,
    }
    .response()
}

fn title(status: &StatusReport) -> String {
    format!("{} · gatecount", trouble::state(status))
}

/// The fields of the box that a request is pasted into, from a query.
pub(super) fn pasted_of(query: &str) -> (String, String) {
    (form::value(query, "request"), form::value(query, "peer"))
}

/// Renders what becomes of a pasted request, on a page of its own.
pub(super) fn explained(
    request: &str,
    peer: &str,
    answer: Option<&Result<Explanation, String>>,
) -> Response<ResponseBody> {
    let mut main =
        String::from("<header><h1><a href=\"./\">gatecount</a></h1></header>\n<div class=columns>\n");
    let pasted = Pasted {
        request,
        peer,
        answer,
    };
    explain::write(&mut main, &pasted);
    main.push_str("</div>\n");
    LivePage {
        title: "A request explained · gatecount",
        icon: Icon::Calm,
        events: None,
        forms: true,
        main: &main,
    }
    .response()
}

fn main(shown: &Shown<'_>) -> String {
    let status = shown.status;
    let mut html = String::new();
    write_header(&mut html, status, shown.links);
    trouble::write_lasting(&mut html, status);
    cards::write(&mut html, status, hour::views(shown.history));
    html.push_str("<div class=columns>\n");
    hour::write(&mut html, shown.history);
    decisions::write(&mut html, &Filter::of_query(shown.query), shown.decisions);
    html.push_str("<div class=side>\n");
    decisions::write_counts(&mut html, status);
    explain::write(&mut html, &Pasted::default());
    html.push_str("</div>\n");
    trouble::write_over(&mut html, status);
    html.push_str(
        "</div>\n<footer><a href=metrics>/metrics</a> <a href=status>/status</a> \
         <a href=decisions>/decisions</a> <a href=readyz>/readyz</a> <a href=livez>/livez</a></footer>\n",
    );
    html
}

/// An address of this machine as a link; others as they are, for nobody knows by which name a reader reaches
/// them.
fn link_to(address: &str) -> String {
    let is_here = address
        .parse()
        .is_ok_and(|address: SocketAddr| address.ip().is_loopback());
    if is_here {
        format!("<a href=\"http://{address}/\">{address}</a>")
    } else {
        Escaped(address).to_string()
    }
}

/// Where events go: to Plausible, or into the stream, or from there to Plausible.
fn way_of_events(status: &StatusReport) -> String {
    let plausible = Escaped(&status.plausible);
    let plausible = format!("<a href=\"{plausible}\">{plausible}</a>");
    let Some(stream) = &status.stream else {
        return plausible;
    };
    let (name, servers) = (Escaped(&stream.name), Escaped(&stream.servers));
    match stream.role {
        StreamRole::Publishes => format!("the stream {name} at {servers}"),
        StreamRole::Delivers => format!("{plausible}, from the stream {name} at {servers}"),
        StreamRole::PublishesAndDelivers => format!("the stream {name} at {servers}, and on to {plausible}"),
    }
}

fn write_header(html: &mut String, status: &StatusReport, links: &[(String, String)]) {
    let tone = match status.lasting().count() {
        _ if trouble::is_severe(status) => "bad",
        0 => "good",
        _ => "warning",
    };
    let _ = write!(
        html,
        "<header><h1>gatecount</h1><p class=badge data-kind={tone} role=status>{state}</p>\
         <p id=live class=live>snapshot</p>\
         <dl class=about><div><dt>Clients come to</dt><dd>{listen}</dd></div>\
         <div><dt>Events go to</dt><dd>{way}</dd></div>\
         <div><dt>Counted</dt><dd>{counted}</dd></div>\
         <div><dt>Version</dt><dd>{version}, up {uptime}</dd></div>",
        state = trouble::state(status),
        listen = link_to(&status.listen),
        way = way_of_events(status),
        counted = Escaped(&status.sites.counted),
        version = Escaped(status.version),
        uptime = duration(status.uptime_seconds),
    );
    if !links.is_empty() {
        html.push_str("<div><dt>See also</dt><dd class=links>");
        for (text, address) in links {
            let _ = write!(html, "<a href=\"{}\">{}</a> ", Escaped(address), Escaped(text));
        }
        html.push_str("</dd></div>");
    }
    html.push_str("</dl></header>\n");
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use http_body_util::BodyExt;

    use super::*;
    use crate::{
        admin::status::tests::{healthy, trouble},
        client::masked,
        page::Decision,
    };

    fn text(status: &StatusReport, decisions: &[DecisionRecord]) -> String {
        main(&Shown {
            status,
            history: &History::new(),
            decisions,
            query: "",
            links: &[("the demo site".to_owned(), "http://site.test/?a&b".to_owned())],
        })
    }

    #[test]
    fn what_clients_sent_is_escaped() {
        let evil = "<img src=x onerror=alert(1)>\"'".to_owned();
        let mut status = healthy();
        status.listen.clone_from(&evil);
        status.plausible.clone_from(&evil);
        status.sites.counted.clone_from(&evil);
        status.queue.alarm = Some(evil.clone());
        status.app.as_mut().unwrap().url.clone_from(&evil);
        for over in [None, Some(1)] {
            let mut trouble = trouble("app_down", over);
            trouble.what.clone_from(&evil);
            trouble.error = Some(evil.clone());
            trouble.cure.clone_from(&evil);
            status.troubles.push(trouble);
        }
        let record = DecisionRecord {
            seq: 1,
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            decision: Decision::Counted,
            why: "A navigation.",
            method: evil.clone(),
            host: evil.clone(),
            path: evil.clone(),
            status: 200,
            client: Some(masked([203, 0, 113, 7].into())),
            client_from: "peer",
        };
        let html = text(&status, &[record]);
        assert!(!html.contains("<img"), "{html}");
        assert!(
            html.contains("<a href=\"http://site.test/?a&amp;b\">the demo site</a>"),
            "{html}"
        );
        let escaped = "&lt;img src=x onerror=alert(1)&gt;&quot;&#39;";
        assert_eq!(html.matches(escaped).count(), 14, "{html}");
    }

    #[tokio::test]
    async fn trouble_is_in_the_title_the_icon_and_the_header() {
        for (troubles, title, badge) in [
            (
                vec![],
                "<title>gatecount</title>",
                "data-kind=good role=status>All is well<",
            ),
            (
                vec![trouble("queue_filling", None)],
                "<title>1 thing needs attention · gatecount</title>",
                "data-kind=warning role=status>1 thing needs",
            ),
            (
                vec![trouble("queue_filling", None), trouble("app_down", None)],
                "<title>2 things need attention · gatecount</title>",
                "data-kind=bad role=status>2 things need",
            ),
        ] {
            let mut status = healthy();
            let calm = troubles.is_empty();
            status.troubles = troubles;
            let response = page(&Shown {
                status: &status,
                history: &History::new(),
                decisions: &[],
                query: "",
                links: &[],
            });
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let html = String::from_utf8(body.to_vec()).unwrap();
            assert!(html.contains(title) && html.contains(badge), "{html}");
            assert_eq!(html.contains("class=banner"), !calm, "{html}");
            let green = "fill='%2312805c'";
            assert_eq!(html.contains(green), calm, "{html}");
        }
    }
}
