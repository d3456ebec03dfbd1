//! The newest decisions, for operators who wonder why a request was or wasn't counted. Of the client only the
//! network is kept, and nothing where the visitor or the app asked not to count; the query is never kept.

use std::{
    collections::VecDeque,
    net::IpAddr,
    time::{Duration, SystemTime},
};

use crate::{
    client::{Masked, masked},
    clock::Moment,
    page::Verdict,
};

/// Decisions kept, per worker: so many about pages, and so many about what pages load. A page brings many
/// requests for its parts, which must not push the pages out.
const KEPT: usize = 128;
/// Bytes of a request's head kept: the method, the path and the host, cut where they are long.
const HEAD: usize = 224;
/// Bytes of a host kept beside a path that is cut.
const HOST: usize = 80;
/// Stands for what was cut.
const CUT: &[u8] = "…".as_bytes();
const HOST_LINE: &[u8] = b"\r\nHost: ";

/// One decision as it was taken.
#[derive(Debug, Clone)]
pub struct RecentRequest {
    /// Grows with time, over all workers.
    pub seq: u64,
    /// When, in microseconds since 1970 by the process's clock, which stands still where the machine is
    /// suspended.
    micros: u64,
    /// What and why.
    pub verdict: Verdict,
    /// The status that the client got; 0 where it left before.
    pub status: u16,
    /// The client's network; none where the visitor or the app asked not to count.
    pub client: Option<Masked>,
    /// Where the client's address came from.
    pub from: &'static str,
    head: [u8; HEAD],
    len: u8,
}

impl RecentRequest {
    /// When.
    pub fn at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_micros(self.micros)
    }

    /// Method, host and path (without query), as far as they were kept.
    pub fn request(&self) -> (String, String, String) {
        let head = String::from_utf8_lossy(&self.head[..usize::from(self.len)]);
        let mut lines = head.split("\r\n");
        let mut line = lines.next().unwrap_or_default().split(' ');
        let method = line.next().unwrap_or_default().to_owned();
        let path = line
            .next()
            .unwrap_or_default()
            .split('?')
            .next()
            .unwrap_or_default()
            .to_owned();
        let host = lines
            .next()
            .and_then(|l| l.strip_prefix("Host: "))
            .unwrap_or_default()
            .to_owned();
        (method, host, path)
    }
}

/// The last decisions of one worker.
#[derive(Debug)]
pub(super) struct Recent {
    pages: VecDeque<RecentRequest>,
    parts: VecDeque<RecentRequest>,
    worker: u64,
    last: u64,
}

impl Recent {
    pub(super) fn new(worker: usize) -> Self {
        Recent {
            pages: VecDeque::new(),
            parts: VecDeque::new(),
            worker: worker as u64 % 64,
            last: 0,
        }
    }

    /// Keeps a decision. `head` is the request's head for the app: request line, then `Host`.
    pub(super) fn push(
        &mut self,
        now: Moment,
        verdict: &Verdict,
        status: u16,
        client: Option<IpAddr>,
        from: &'static str,
        head: &[u8],
    ) {
        let records = if verdict.decision.is_about_a_page() {
            &mut self.pages
        } else {
            &mut self.parts
        };
        if records.len() == KEPT {
            records.pop_front();
        }
        // Grows from one decision to the next, and stays a number that JavaScript holds exactly for two
        // centuries.
        let seq = (now.micros & !63 | self.worker).max(self.last + 64);
        self.last = seq;
        let (kept, len) = kept_of(head);
        records.push_back(RecentRequest {
            seq,
            micros: now.micros,
            verdict: *verdict,
            status,
            client: client.map(masked),
            from,
            head: kept,
            len,
        });
    }

    /// The decisions after a sequence number, oldest first. Their times are converted to the system's clock,
    /// which reads `wall` when the process's clock reads `now`.
    pub(super) fn since(&self, seq: u64, now: Moment, wall: SystemTime) -> Vec<RecentRequest> {
        let wall = wall
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(now.micros, |wall| wall.as_micros() as u64);
        let by_wall = |record: &RecentRequest| RecentRequest {
            micros: wall.saturating_sub(now.micros.saturating_sub(record.micros)),
            ..record.clone()
        };
        let both = self.pages.iter().chain(&self.parts);
        let mut found: Vec<_> = both.filter(|r| r.seq > seq).map(by_wall).collect();
        found.sort_by_key(|record| record.seq);
        found
    }
}

/// As much of a head as is kept, and its length.
fn kept_of(head: &[u8]) -> ([u8; HEAD], u8) {
    let mut kept = [0; HEAD];
    let start = &head[..head.len().min(HEAD)];
    // Nearly always both lines are short, and one copy keeps them.
    if start.len() == head.len() || memchr::memchr_iter(b'\n', start).nth(1).is_some() {
        kept[..start.len()].copy_from_slice(start);
        return (kept, start.len() as u8);
    }
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let line = lines.next().unwrap_or_default();
    let host = lines.next().and_then(|line| line.strip_prefix(b"Host: "));
    let host = host.unwrap_or_default();
    let path_end = memchr::memchr(b'?', line)
        .or_else(|| memchr::memrchr(b' ', line))
        .unwrap_or(line.len());
    let mut len = 0;
    let mut put = |text: &[u8], room: usize| {
        let parts = if text.len() <= room {
            [text, &[]]
        } else {
            [&text[..room - CUT.len()], CUT]
        };
        for part in parts {
            kept[len..len + part.len()].copy_from_slice(part);
            len += part.len();
        }
    };
    let host_room = host.len().min(HOST);
    put(&line[..path_end], HEAD - HOST_LINE.len() - host_room);
    put(HOST_LINE, HOST_LINE.len());
    put(host, host_room);
    (kept, len as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page;

    #[test]
    fn what_pages_load_does_not_push_the_pages_out() {
        let mut recent = Recent::new(0);
        let moment = |micros| Moment { nanos: 0, micros };
        let mut push = |micros, verdict: &Verdict| {
            recent.push(moment(micros), verdict, 200, None, "peer", b"GET / HTTP/1.1");
        };
        push(1_000, &page::suppressed());
        for n in 0..2 * KEPT as u64 {
            push(2_000 + n * 1_000, &page::dedicated());
        }
        push(900_000, &page::suppressed());
        let kept = recent.since(
            0,
            moment(1_000_000),
            SystemTime::UNIX_EPOCH + Duration::from_secs(1),
        );
        assert_eq!(kept.len(), KEPT + 2);
        assert!(kept.is_sorted_by_key(|record| record.seq));
        for record in [&kept[0], &kept[KEPT + 1]] {
            assert_eq!(record.verdict, page::suppressed());
        }
    }

    #[test]
    fn a_long_path_or_query_takes_nothing_from_the_host() {
        let told = |path: &str, host: &str| {
            let mut recent = Recent::new(0);
            let moment = Moment { nanos: 0, micros: 1 };
            let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\n\r\n");
            recent.push(moment, &page::suppressed(), 200, None, "peer", head.as_bytes());
            recent.since(0, moment, SystemTime::UNIX_EPOCH)[0].request()
        };
        let is = |method: &str, host: &str, path: &str| (method.to_owned(), host.to_owned(), path.to_owned());
        let long = |length: usize| "/".to_owned() + &"a".repeat(length - 1);
        assert_eq!(told("/a?b=c", "example.com"), is("GET", "example.com", "/a"));
        let query = long(120) + "?" + &"q".repeat(5_000);
        assert_eq!(told(&query, "example.com"), is("GET", "example.com", &long(120)));
        let (_, host, path) = told(&long(1_000), "example.com");
        assert_eq!(host, "example.com");
        let start = path.strip_suffix('…').unwrap();
        assert!(long(1_000).starts_with(start) && start.len() > 190, "{path}");
        // At every length around the one that just fits.
        for length in 150..260 {
            let (_, host, path) = told(&long(length), "example.com");
            assert_eq!(host, "example.com", "{length}");
            assert!(path == long(length) || path.ends_with('…'), "{length}: {path}");
        }
        let far = "h".repeat(200) + ".example";
        let (_, host, path) = told("/a/path/of/some/length", &far);
        assert_eq!(path, "/a/path/of/some/length");
        assert!(host.starts_with("hhhh") && host.ends_with('…'), "{host}");
    }

    #[test]
    fn times_are_the_systems_though_the_process_was_suspended_meanwhile() {
        let mut recent = Recent::new(0);
        let moment = |micros| Moment { nanos: 0, micros };
        recent.push(
            moment(5_000_000),
            &page::failed(),
            0,
            None,
            "peer",
            b"GET / HTTP/1.1",
        );
        let wall = |micros| SystemTime::UNIX_EPOCH + Duration::from_micros(micros);
        let told = |now, by_wall| recent.since(0, moment(now), wall(by_wall))[0].at();
        assert_eq!(told(7_000_000, 7_000_000), wall(5_000_000));
        assert_eq!(
            told(7_000_000, 3_600_000_000),
            wall(3_598_000_000),
            "an hour's sleep"
        );
        assert_eq!(told(7_000_000, 1_000_000), wall(0), "a clock set back too far");
    }
}
