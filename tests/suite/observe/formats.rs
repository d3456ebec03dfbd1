//! Each format, from a server's line to Plausible.

use std::io::Write as _;

use super::{Log, now};
use crate::support::{as_long_as_it_moves, client::CHROME, process::Builder, receiver::Receiver};

/// Two pages and two that are none, as each format has them, and what the browser's page is sent as.
struct Case {
    format: &'static str,
    lines: String,
    url: &'static str,
    referrer: Option<&'static str>,
}

fn rfc3339() -> String {
    humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string()
}

fn common() -> String {
    let output = std::process::Command::new("date")
        .env("LC_ALL", "C")
        .args(["-u", "+%d/%b/%Y:%H:%M:%S +0000"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn combined() -> Case {
    let at = common();
    let lines = [("/a?utm_source=x&b=c", 200), ("/style.css", 200), ("/gone", 301)]
        .map(|(target, status)| {
            format!(
                "203.0.113.7 - - [{at}] \"GET {target} HTTP/1.1\" {status} 12 \"https://from.example/?q\" \"{CHROME}\"\n"
            )
        })
        .concat();
    Case {
        format: "combined",
        lines,
        url: "http://example.com/a?utm_source=x",
        referrer: Some("https://from.example/"),
    }
}

fn caddy() -> Case {
    let lines = [("/a", "text/html"), ("/b", "text/css")]
        .map(|(uri, kind)| {
            format!(
                "{{\"level\":\"info\",\"ts\":{:.6},\"logger\":\"http.log.access\",\"msg\":\"handled request\",\"request\":\
                 {{\"remote_ip\":\"203.0.113.7\",\"remote_port\":\"1\",\"proto\":\"HTTP/2.0\",\"method\":\"GET\",\"host\":\
                 \"www.example.com\",\"uri\":\"{uri}\",\"headers\":{{\"User-Agent\":[\"{CHROME}\"],\"Accept\":[\"text/html\"]}},\
                 \"tls\":{{\"resumed\":false}}}},\"status\":200,\"resp_headers\":{{\"Content-Type\":[\"{kind}\"]}}}}\n",
                now()
            )
        })
        .concat();
    Case {
        format: "caddy",
        lines,
        url: "https://www.example.com/a",
        referrer: None,
    }
}

fn traefik() -> Case {
    let at = rfc3339();
    let lines = [("/a", 200), ("/b", 500)]
        .map(|(path, status)| {
            format!(
                "{{\"ClientAddr\":\"10.0.0.9:1\",\"ClientHost\":\"203.0.113.7\",\"DownstreamStatus\":{status},\"RequestAddr\":\
                 \"example.com\",\"RequestMethod\":\"GET\",\"RequestPath\":\"{path}\",\"RequestScheme\":\"https\",\"StartUTC\":\
                 \"{at}\",\"downstream_Content-Type\":\"text/html\",\"request_User-Agent\":\"{CHROME}\",\
                 \"request_Accept\":\"text/html\"}}\n"
            )
        })
        .concat();
    Case {
        format: "traefik",
        lines,
        url: "https://example.com/a",
        referrer: None,
    }
}

#[test]
fn each_format_tells_of_pages() {
    for case in [combined(), caddy(), traefik()] {
        let (plausible, mut log) = (Receiver::start(), Log::new());
        let sidecar = Builder::aside()
            .telling(&plausible)
            .set("observe.log", format!("file:{}", log.path().display()))
            .set("observe.format", case.format)
            .start();
        log.write(&case.lines);
        log.file.flush().unwrap();
        let count = case.lines.lines().count() as u64;
        // Lines are decided before their events are offered together.
        as_long_as_it_moves("every line is decided and no event on its way", || {
            let metrics = sidecar.metrics();
            metrics.assert_account();
            let decided = (metrics.decided(), metrics.decisions("counted"));
            let offered = (metrics.offered(), metrics.pending());
            if decided.0 == count && offered == (decided.1, 0) {
                Ok(())
            } else {
                Err((decided, offered))
            }
        });
        let events = plausible.recorded();
        assert_eq!(events.len(), 1, "{}", case.format);
        assert_eq!(events[0].text("url"), case.url);
        assert_eq!(events[0].visitor(), ("203.0.113.7".to_owned(), CHROME.to_owned()));
        let referrer = events[0].body["referrer"].as_str();
        assert_eq!(referrer, case.referrer, "{}", case.format);
        plausible.assert_strict();
    }
}

/// The decisions show where the proxy's would, addresses masked.
#[test]
fn decisions_are_shown_to_operators() {
    let (plausible, mut log) = (Receiver::start(), Log::new());
    let sidecar = Builder::aside()
        .telling(&plausible)
        .set("observe.log", format!("file:{}", log.path().display()))
        .set("observe.format", "combined")
        .start();
    log.write(combined().lines);
    sidecar.settled(3);
    let shown = sidecar.admin("/decisions").json();
    let shown: Vec<_> = shown
        .as_array()
        .unwrap()
        .iter()
        .map(|d| {
            format!(
                "{} {} {} {} {}",
                d["decision"], d["path"], d["status"], d["client"], d["client_from"]
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "\"counted\" \"/a\" 200 \"203.0.113.0/24\" \"peer\"",
            "\"not_page\" \"/style.css\" 200 \"203.0.113.0/24\" \"peer\"",
            "\"redirect\" \"/gone\" 301 \"203.0.113.0/24\" \"peer\"",
        ]
    );
    assert_eq!(sidecar.status()["decisions"]["counted"], 1);
}
