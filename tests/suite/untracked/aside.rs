//! Requests that are seen from aside wait for the script as well.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    time::SystemTime,
};

use tempfile::TempDir;

use super::{Stage, WAIT, address, page, times};
use crate::support::{
    client::{CHROME, Client},
    process::free_port,
};

struct Log {
    file: File,
    _directory: TempDir,
}

impl Log {
    fn beside(
        change: impl FnOnce(crate::support::process::Builder) -> crate::support::process::Builder,
    ) -> (Log, Stage) {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("access.log");
        let file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        let stage =
            Stage::with(|builder| change(builder.set("observe.log", format!("file:{}", path.display()))));
        (
            Log {
                file,
                _directory: directory,
            },
            stage,
        )
    }

    /// A line about a page, served just now.
    fn tells_of(&mut self, path: &str, visitor: usize) {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let line = format!(
            "{{\"time\":{:.3},\"peer\":\"{}\",\"method\":\"GET\",\"uri\":\"{path}\",\"host\":\"example.com\",\
             \"scheme\":\"https\",\"status\":200,\"content_type\":\"text/html\",\"headers\":{{\"user-agent\":\
             \"{CHROME}\",\"accept\":\"text/html\",\"sec-fetch-dest\":\"document\",\"sec-fetch-mode\":\"navigate\"}}}}\n",
            since.as_secs_f64(),
            address(visitor),
        );
        self.file.write_all(line.as_bytes()).unwrap();
    }
}

#[test]
fn a_line_about_a_page_that_the_script_reported_is_not_counted_whichever_is_first() {
    let (mut log, stage) =
        Log::beside(|builder| builder.set("pages.tracker_wait", format!("{}ms", 3 * WAIT.as_millis())));
    stage.reports("/script-first", 1);
    log.tells_of("/script-first", 1);
    log.tells_of("/line-first", 1);
    stage.await_held(1);
    stage.reports("/line-first", 1);
    log.tells_of("/line-alone", 1);
    // Seen in the way, and told of besides.
    stage.views("/both", 1);
    log.tells_of("/both", 1);
    stage.views("/both-and-script", 1);
    stage.reports("/both-and-script", 1);
    log.tells_of("/both-and-script", 1);
    // The lines.
    stage.expect(5);
    assert_eq!(
        stage.counted(),
        times([
            ("/both", 1, 0),
            ("/both-and-script", 0, 1),
            ("/line-alone", 1, 0),
            ("/line-first", 0, 1),
            ("/script-first", 0, 1)
        ])
    );
    let metrics = stage.sidecar.metrics();
    assert_eq!(metrics.decisions("tracked"), 3);
    assert_eq!(metrics.decisions("counted"), 2);
    assert_eq!(
        metrics.decisions("not_page"),
        2,
        "the lines that repeat what the proxy saw"
    );
}

#[test]
fn a_mirrored_request_waits_too() {
    let mirror = free_port();
    let stage = Stage::with(|builder| {
        builder
            .set("observe.mirror", mirror.to_string())
            .set("pages.tracker_wait", format!("{}ms", WAIT.as_millis()))
    });
    let mut copier = Client::to(mirror);
    for path in ["/reported", "/alone"] {
        assert_eq!(copier.ask(&page(path, 1)).status(), 204);
    }
    stage.expect(2);
    stage.reports("/reported", 1);
    assert_eq!(stage.counted(), times([("/alone", 1, 0), ("/reported", 0, 1)]));
    let metrics = stage.sidecar.settled(3);
    assert_eq!(
        (metrics.decisions("counted"), metrics.decisions("tracked")),
        (1, 1)
    );
}
