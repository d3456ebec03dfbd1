//! What is wrong: each trouble is one entry of a list that the log, `/status`, the live page and
//! `gatecount_trouble` all show.
//!
//! Whoever notices a trouble calls [`Troubles::begin`], as often as it notices it, and [`Troubles::end`] when
//! it is over. The log gets one line at the beginning, with the cure, and one at the end; the list keeps what
//! is over, so that nobody takes an old error for a new one. A trouble whose end nobody can notice is over
//! once it was not noticed for a while ([`TroubleKind::lasts`]).
//!
//! Nothing of this is on a request's way: a trouble is noticed at most once in a while.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};

use super::{
    throttle::LogThrottle,
    trouble::{Trouble, TroubleKind, TroubleWords},
};

/// Entries kept, those that are over among them.
const MAX_ENTRIES: usize = 64;
/// At most one line about the beginning of the same trouble in this time: one that comes and goes must not
/// fill the log.
const LOG_SPAN: Duration = Duration::from_secs(10);

/// The list of troubles of a process, shared by whoever notices them and whoever shows them.
#[derive(Debug, Clone, Default)]
pub struct Troubles(Arc<TroubleBook>);

#[derive(Debug, Default)]
struct TroubleBook {
    entries: Mutex<Vec<Entry>>,
    /// By kind; none where no metrics are registered.
    lasting: Vec<IntGauge>,
}

#[derive(Debug)]
struct Entry {
    trouble: Trouble,
    began: Instant,
    noticed: Instant,
    /// Whether the log has its beginning.
    logged: bool,
    throttle: LogThrottle,
}

impl Troubles {
    /// An empty list, with `gatecount_trouble` in `registry`.
    ///
    /// # Errors
    /// The metric's name is taken.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauges = IntGaugeVec::new(
            Opts::new(
                "gatecount_trouble",
                "Troubles that last, by kind; /status has each with its cure.",
            ),
            &["kind"],
        )?;
        registry.register(Box::new(gauges.clone()))?;
        Ok(Troubles(Arc::new(TroubleBook {
            entries: Mutex::default(),
            lasting: TroubleKind::ALL
                .map(|kind| gauges.with_label_values(&[kind.label()]))
                .into(),
        })))
    }

    /// A trouble was noticed: it begins, or lasts. `subject` tells it from others of its kind.
    pub fn begin(&self, kind: TroubleKind, subject: &str, words: TroubleWords) {
        self.begin_at(Instant::now(), kind, subject, words);
    }

    /// [`begin`](Troubles::begin) for what somebody did again: the log gets it again.
    pub fn begin_anew(&self, kind: TroubleKind, subject: &str, words: TroubleWords) {
        let mut entries = self.entries();
        if let Some(entry) = entries
            .iter_mut()
            .find(|entry| entry.trouble.kind == kind && entry.trouble.subject == subject)
        {
            entry.logged = false;
            entry.throttle = LogThrottle::new(1, LOG_SPAN);
        }
        drop(entries);
        self.begin(kind, subject, words);
    }

    /// A trouble is over, if it lasted. `over` says so in the log.
    pub fn end(&self, kind: TroubleKind, subject: &str, over: &str) {
        let now = Instant::now();
        let mut entries = self.entries();
        let lasting = entries.iter_mut().filter(|entry| entry.lasts());
        if let Some(entry) = lasting
            .filter(|entry| entry.trouble.kind == kind)
            .find(|entry| entry.trouble.subject == subject)
        {
            entry.end(now, Some(over));
            self.show(&entries, kind);
        }
    }

    /// Ends all troubles of a kind but the one about `subject`, without a line in the log: another one took
    /// their place.
    pub fn keep_only(&self, kind: TroubleKind, subject: &str) {
        let now = Instant::now();
        let mut entries = self.entries();
        for entry in entries.iter_mut().filter(|entry| entry.trouble.kind == kind) {
            if entry.lasts() && entry.trouble.subject != subject {
                entry.end(now, None);
            }
        }
        self.show(&entries, kind);
    }

    /// Ends all troubles of a kind; `over` says so in the log, once.
    pub fn end_all(&self, kind: TroubleKind, over: &str) {
        let now = Instant::now();
        let mut entries = self.entries();
        let mut over = Some(over);
        for entry in entries.iter_mut().filter(|entry| entry.trouble.kind == kind) {
            if entry.lasts() {
                let logged = entry.logged;
                entry.end(now, over);
                over = over.filter(|_| !logged);
            }
        }
        self.show(&entries, kind);
    }

    /// Ends what was not noticed for as long as it lasts.
    pub fn settle(&self) {
        self.settle_at(Instant::now());
    }

    /// Those that last, the oldest first, then those that are over, the newest first.
    pub fn list(&self) -> Vec<Trouble> {
        self.settle();
        let mut list: Vec<Trouble> = self.entries().iter().map(|entry| entry.trouble.clone()).collect();
        list.sort_by(|a, b| match (a.over_since, b.over_since) {
            (None, None) => a.since.cmp(&b.since),
            (a, b) => a.is_some().cmp(&b.is_some()).then(b.cmp(&a)),
        });
        list
    }

    fn begin_at(&self, now: Instant, kind: TroubleKind, subject: &str, words: TroubleWords) {
        let mut entries = self.entries();
        let found = entries
            .iter()
            .position(|entry| entry.trouble.kind == kind && entry.trouble.subject == subject);
        let at = match found {
            Some(at) => at,
            None if make_room(&mut entries) => {
                entries.push(Entry::new(now, kind, subject));
                entries.len() - 1
            }
            None => return,
        };
        entries[at].notice(now, words);
        self.show(&entries, kind);
    }

    fn settle_at(&self, now: Instant) {
        let mut entries = self.entries();
        for entry in entries.iter_mut().filter(|entry| entry.lasts()) {
            let lasts = entry.trouble.kind.lasts();
            if lasts.is_some_and(|lasts| now.saturating_duration_since(entry.noticed) >= lasts) {
                entry.end(now, Some("it has not happened for ten minutes"));
            }
        }
        for kind in TroubleKind::ALL.into_iter().filter(|kind| kind.lasts().is_some()) {
            self.show(&entries, kind);
        }
    }

    /// Shows the metrics how many of a kind last.
    fn show(&self, entries: &[Entry], kind: TroubleKind) {
        if let Some(gauge) = self.0.lasting.get(kind as usize) {
            let of_kind = entries.iter().filter(|entry| entry.trouble.kind == kind);
            let count = of_kind.filter(|entry| entry.lasts()).count();
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        // No update is left half done by a panic.
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room for an entry, in place of the one that has been over longest. False if all of them last.
fn make_room(entries: &mut Vec<Entry>) -> bool {
    if entries.len() < MAX_ENTRIES {
        return true;
    }
    let over = entries.iter().enumerate().filter(|(_, entry)| !entry.lasts());
    let oldest = over.min_by_key(|(_, entry)| entry.trouble.over_since);
    let Some((at, _)) = oldest else { return false };
    entries.remove(at);
    true
}

impl Entry {
    /// An entry that does not last yet.
    fn new(now: Instant, kind: TroubleKind, subject: &str) -> Self {
        let wall = SystemTime::now();
        Entry {
            trouble: Trouble {
                kind,
                subject: subject.to_owned(),
                words: TroubleWords {
                    what: String::new(),
                    error: None,
                    cure: String::new(),
                },
                since: wall,
                over_since: Some(wall),
                times: 0,
            },
            began: now,
            noticed: now,
            logged: false,
            throttle: LogThrottle::new(1, LOG_SPAN),
        }
    }

    fn lasts(&self) -> bool {
        self.trouble.over_since.is_none()
    }

    fn notice(&mut self, now: Instant, words: TroubleWords) {
        self.noticed = now;
        self.trouble.words = words;
        if !self.lasts() {
            self.began = now;
            self.trouble.since = SystemTime::now();
            self.trouble.over_since = None;
            self.trouble.times += 1;
            self.logged = false;
        }
        if !self.logged && self.throttle.pass(now, 1).is_some() {
            self.logged = true;
            self.log();
        }
    }

    fn log(&self) {
        let Trouble { kind, words, .. } = &self.trouble;
        let TroubleWords { what, error, cure } = words;
        if kind.is_error() {
            tracing::error!(trouble = %kind, error, hint = cure, "{what}");
        } else {
            tracing::warn!(trouble = %kind, error, hint = cure, "{what}");
        }
    }

    fn end(&mut self, now: Instant, over: Option<&str>) {
        self.trouble.over_since = Some(SystemTime::now());
        if let Some(over) = over.filter(|_| self.logged) {
            let after_seconds = now.saturating_duration_since(self.began).as_secs();
            tracing::info!(trouble = %self.trouble.kind, over = true, after_seconds, "{over}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNNOTICED: Duration = Duration::from_mins(10);

    fn words(what: &str) -> TroubleWords {
        TroubleWords {
            what: what.to_owned(),
            error: Some("connection refused".to_owned()),
            cure: "is it up?".to_owned(),
        }
    }

    fn registered() -> (Troubles, Registry) {
        let registry = Registry::new();
        (Troubles::register(&registry).unwrap(), registry)
    }

    /// The kinds whose gauge is not 0, with its value.
    fn shown(registry: &Registry) -> Vec<(String, i64)> {
        let families = registry.gather();
        let metrics = families
            .iter()
            .flat_map(prometheus::proto::MetricFamily::get_metric);
        let values = metrics.map(|m| {
            (
                m.get_label()[0].value().to_owned(),
                m.get_gauge().get_value() as i64,
            )
        });
        values.filter(|(_, n)| *n != 0).collect()
    }

    #[test]
    fn a_trouble_begins_lasts_and_is_over() {
        let (troubles, registry) = registered();
        troubles.begin(TroubleKind::AppDown, "", words("no connection"));
        troubles.begin(TroubleKind::AppDown, "", words("still no connection"));
        let list = troubles.list();
        assert_eq!(list.len(), 1);
        assert_eq!(
            (list[0].words.what.as_str(), list[0].times),
            ("still no connection", 1)
        );
        assert_eq!(list[0].over_since, None);
        assert_eq!(shown(&registry), [("app_down".to_owned(), 1)]);

        troubles.end(TroubleKind::AppDown, "", "it is back");
        let list = troubles.list();
        assert!(list[0].over_since.is_some_and(|over| over >= list[0].since));
        assert_eq!(shown(&registry), []);

        troubles.begin(TroubleKind::AppDown, "", words("again"));
        let again = &troubles.list()[0];
        assert_eq!((again.over_since, again.times), (None, 2));
    }

    #[test]
    fn several_of_a_kind_are_told_apart_by_their_subject() {
        let (troubles, registry) = registered();
        for domain in ["a.example", "b.example"] {
            troubles.begin(TroubleKind::DomainDropped, domain, words(domain));
        }
        assert_eq!(shown(&registry), [("domain_dropped".to_owned(), 2)]);
        troubles.end(TroubleKind::DomainDropped, "a.example", "recorded");
        let list: Vec<(String, bool)> = troubles
            .list()
            .into_iter()
            .map(|t| (t.subject, t.over_since.is_some()))
            .collect();
        assert_eq!(
            list,
            [("b.example".to_owned(), false), ("a.example".to_owned(), true)]
        );
        troubles.keep_only(TroubleKind::DomainDropped, "c.example");
        assert_eq!(shown(&registry), []);
    }

    #[test]
    fn what_nobody_notices_any_more_is_over_and_the_rest_lasts() {
        let (troubles, registry) = registered();
        let start = Instant::now();
        troubles.begin_at(start, TroubleKind::UntrustedProxy, "10.0.0.0/8", words("headers"));
        troubles.begin_at(start, TroubleKind::AppDown, "", words("no connection"));
        troubles.settle_at(start + UNNOTICED / 2);
        assert_eq!(shown(&registry).len(), 2);
        troubles.settle_at(start + UNNOTICED);
        assert_eq!(shown(&registry), [("app_down".to_owned(), 1)]);
    }

    #[test]
    fn the_list_is_bounded_and_what_lasts_stays() {
        let troubles = Troubles::default();
        troubles.begin(TroubleKind::AppDown, "", words("no connection"));
        for n in 0..3 * MAX_ENTRIES {
            troubles.begin(TroubleKind::DomainDropped, &n.to_string(), words("dropped"));
            troubles.end(TroubleKind::DomainDropped, &n.to_string(), "recorded");
        }
        let list = troubles.list();
        assert_eq!(list.len(), MAX_ENTRIES);
        assert_eq!(list[0].kind, TroubleKind::AppDown);
    }
}
