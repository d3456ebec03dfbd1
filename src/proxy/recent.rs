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
        let len = head.len().min(HEAD);
        let mut kept = [0; HEAD];
        kept[..len].copy_from_slice(&head[..len]);
        records.push_back(RecentRequest {
            seq,
            micros: now.micros,
            verdict: *verdict,
            status,
            client: client.map(masked),
            from,
            head: kept,
            len: len as u8,
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
