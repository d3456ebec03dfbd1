//! Stands in for Plausible: strict about what it is sent, scripted in what it answers, dead when told to be.
//!
//! HTTP/1.1 over TCP, or HTTP/1.1 and HTTP/2 over TLS. What it accepts is judged by [`gatecount::plausible`].

mod server;

use std::{
    collections::{HashMap, VecDeque},
    fs,
    hash::{BuildHasher, RandomState},
    net::{IpAddr, SocketAddr},
    process::Command,
    sync::{Arc, Mutex, MutexGuard, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use gatecount::plausible::{accept, breaches};
use serde_json::Value;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use self::server::Server;
use super::{as_long_as_it_moves, tls::Authority};

/// One event as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// When.
    pub(crate) at: Instant,
    /// Method and path.
    pub(crate) request: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub(crate) version: String,
    /// Its fields, names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    /// Its body, if it is JSON.
    pub(crate) body: Value,
    /// Its body as it came.
    pub(crate) raw: String,
    /// What was answered; 0 where there was no answer.
    pub(crate) status: u16,
    /// Whether it was recorded: answered 202 and not dropped.
    pub(crate) recorded: bool,
}

impl Arrival {
    /// The first value of this field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// A string of the body.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.body[key].as_str().unwrap_or_default()
    }

    /// The address that Plausible takes for the visitor's, and the user agent.
    pub(crate) fn visitor(&self) -> (String, String) {
        let address = self
            .field("x-plausible-ip")
            .or_else(|| self.field("x-forwarded-for"));
        (
            address.unwrap_or_default().to_owned(),
            self.field("user-agent").unwrap_or_default().to_owned(),
        )
    }
}

/// What it does with one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    /// 202, or 400 where the event is invalid.
    Accept,
    /// 202 with `x-plausible-dropped: 1`.
    Drop,
    /// This status.
    Status(u16),
    /// This status and `Retry-After` with so many seconds.
    RetryAfter(u16, u64),
    /// The connection is closed in place of an answer.
    CutOff,
    /// Nothing, ever.
    Hang,
}

/// What an edition of Plausible answers beside events.
#[derive(Debug, Clone)]
pub(crate) struct Edition {
    /// The status of `/api/system/health/ready`.
    pub(crate) ready: u16,
    /// The status of `/api/health`.
    pub(crate) health: u16,
    /// The answer to `X-Debug-Request`; none where that is not known, and the event is taken.
    pub(crate) debug: Option<String>,
    /// Its `Date`, where that is not the time.
    pub(crate) date: Option<String>,
}

impl Edition {
    /// A recent one, as its source is published.
    pub(crate) const RECENT: Edition = Edition {
        ready: 200,
        health: 200,
        debug: None,
        date: None,
    };
}

type Script = dyn FnMut(&Arrival, usize) -> Reply + Send;

/// A running receiver.
pub(crate) struct Receiver {
    url: String,
    state: Arc<Mutex<State>>,
    mode: watch::Sender<Mode>,
    changed: Mutex<mpsc::Receiver<Mode>>,
    thread: Option<JoinHandle<()>>,
    /// The system's number of that thread.
    task: String,
}

struct State {
    /// Empty where only what is counted is wanted.
    arrivals: Vec<Arrival>,
    keeps: bool,
    attempts: usize,
    recorded: usize,
    breaches: Vec<String>,
    queue: VecDeque<Reply>,
    script: Box<Script>,
    edition: Edition,
    delay: Duration,
    /// How often each event came, by a hash of it and its visitor: a million of them are looked up at once.
    times: HashMap<u64, usize>,
    hasher: RandomState,
    in_flight: HashMap<(String, String), usize>,
    at_once: usize,
    peak: usize,
    peak_per_visitor: usize,
    connections: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Serving,
    Dead,
    Babbling,
    Ended,
}

impl Receiver {
    /// HTTP/1.1 over TCP, every valid event accepted.
    pub(crate) fn start() -> Receiver {
        Receiver::serve("http", "127.0.0.1", None)
    }

    /// HTTP/2 and HTTP/1.1 over TLS.
    pub(crate) fn tls(authority: &Authority) -> Receiver {
        let acceptor = TlsAcceptor::from(authority.server(&["h2", "http/1.1"]));
        Receiver::serve("https", "localhost", Some(acceptor))
    }

    /// HTTP/1.1 alone over TLS.
    pub(crate) fn tls_without_h2(authority: &Authority) -> Receiver {
        let acceptor = TlsAcceptor::from(authority.server(&["http/1.1"]));
        Receiver::serve("https", "localhost", Some(acceptor))
    }

    fn serve(scheme: &str, host: &str, tls: Option<TlsAcceptor>) -> Receiver {
        let listener = server::bind(SocketAddr::from(([127, 0, 0, 1], 0)));
        let address = listener.local_addr().expect("the bound address");
        let state = Arc::new(Mutex::new(State::new()));
        let (mode, watching) = watch::channel(Mode::Serving);
        let (tell, changed) = mpsc::channel();
        let (name, named) = mpsc::channel();
        let thread = thread::spawn({
            let state = Arc::clone(&state);
            move || {
                let task = fs::read_link("/proc/thread-self").unwrap_or_default();
                // Whoever starts it waits for that.
                let _ = name.send(
                    task.file_name()
                        .unwrap_or_default()
                        .to_string_lossy()
                        .into_owned(),
                );
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime");
                runtime.block_on(
                    Server {
                        address,
                        tls,
                        state,
                        mode: watching,
                        tell,
                    }
                    .run(listener),
                );
            }
        });
        Receiver {
            url: format!("{scheme}://{host}:{}", address.port()),
            state,
            mode,
            changed: Mutex::new(changed),
            thread: Some(thread),
            task: named.recv().expect("its thread has started"),
        }
    }

    /// Stands for a machine of its own from now on, as what runs by [`ELSEWHERE`] does.
    pub(crate) fn is_elsewhere(&self) {
        let done = Command::new("chrt")
            .args(["--idle", "-p", "0", &self.task])
            .output();
        assert!(done.is_ok_and(|output| output.status.success()), "chrt");
    }

    /// Its base URL, as `[plausible] url` takes it.
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// Answers the next events so, one each, before the script goes on.
    pub(crate) fn next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state().queue.extend(replies);
    }

    /// Answers all events so from now on.
    pub(crate) fn always(&self, reply: Reply) {
        self.script(move |_, _| reply);
    }

    /// Asks a script for each answer: it gets the event and how often this very event was tried before.
    pub(crate) fn script(&self, script: impl FnMut(&Arrival, usize) -> Reply + Send + 'static) {
        self.state().script = Box::new(script);
    }

    /// Is of this edition from now on.
    pub(crate) fn be(&self, edition: Edition) {
        self.state().edition = edition;
    }

    /// Takes so long over each answer.
    pub(crate) fn slow(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// Keeps no arrivals from now on, only counts them: what a million of them were is the script's to keep.
    pub(crate) fn keep_nothing(&self) {
        self.state().keeps = false;
    }

    /// Closes port and connections. They are closed when this returns.
    pub(crate) fn die(&self) {
        self.turn(Mode::Dead);
    }

    /// Takes connections, and answers each with bytes that are no HTTP.
    pub(crate) fn babble(&self) {
        self.turn(Mode::Babbling);
    }

    /// Is back on the same port.
    pub(crate) fn come_back(&self) {
        self.turn(Mode::Serving);
    }

    /// Every attempt so far, in order of arrival.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.state().arrivals.clone()
    }

    /// The recorded events so far, in order of arrival.
    pub(crate) fn recorded(&self) -> Vec<Arrival> {
        self.arrivals().into_iter().filter(|a| a.recorded).collect()
    }

    /// The recorded events, once there are at least so many.
    #[track_caller]
    pub(crate) fn await_recorded(&self, count: usize) -> Vec<Arrival> {
        self.await_count(&format!("{count} recorded events"), count, |state| state.recorded);
        self.recorded()
    }

    /// Every attempt, once there were at least so many.
    #[track_caller]
    pub(crate) fn await_arrivals(&self, count: usize) -> Vec<Arrival> {
        self.await_count(&format!("{count} attempts"), count, |state| state.attempts);
        self.arrivals()
    }

    #[track_caller]
    fn await_count(&self, what: &str, count: usize, counted: impl Fn(&State) -> usize) {
        as_long_as_it_moves(what, || match counted(&self.state()) {
            enough if enough >= count => Ok(()),
            so_far => Err(so_far),
        });
    }

    /// The most requests that were in its hands at once: over all, and of one visitor.
    pub(crate) fn peaks(&self) -> (usize, usize) {
        let state = self.state();
        (state.peak, state.peak_per_visitor)
    }

    /// How many connections were made to it.
    pub(crate) fn connections(&self) -> usize {
        self.state().connections
    }

    /// Nothing it was sent was invalid or carried more than it should.
    #[track_caller]
    pub(crate) fn assert_strict(&self) {
        let state = self.state();
        assert!(state.breaches.is_empty(), "breaches: {:#?}", state.breaches);
        assert!(
            state.peak_per_visitor <= 1,
            "{} events of one visitor at once",
            state.peak_per_visitor
        );
    }

    fn turn(&self, mode: Mode) {
        self.mode.send_replace(mode);
        let changed = self.changed.lock().expect("the receiver's own lock");
        while changed
            .recv_timeout(super::DEADLINE)
            .expect("the receiver follows")
            != mode
        {}
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.mode.send_replace(Mode::Ended);
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

impl State {
    fn new() -> State {
        State {
            arrivals: Vec::new(),
            keeps: true,
            attempts: 0,
            recorded: 0,
            breaches: Vec::new(),
            queue: VecDeque::new(),
            script: Box::new(|_, _| Reply::Accept),
            edition: Edition::RECENT,
            delay: Duration::ZERO,
            times: HashMap::new(),
            hasher: RandomState::new(),
            in_flight: HashMap::new(),
            at_once: 0,
            peak: 0,
            peak_per_visitor: 0,
            connections: 0,
        }
    }

    /// Takes an event in: judged, recorded, answered by the script.
    fn arrive(&mut self, mut arrival: Arrival, peer: IpAddr, body: &[u8]) -> Reply {
        let faults = judge(&arrival, peer, body);
        let visitor = arrival.visitor();
        let times = self
            .times
            .entry(self.hasher.hash_one((&visitor, body)))
            .or_default();
        let tries = *times;
        *times += 1;
        let reply = self
            .queue
            .pop_front()
            .unwrap_or_else(|| (self.script)(&arrival, tries));
        let reply = if reply == Reply::Accept && !faults.is_empty() {
            Reply::Status(400)
        } else {
            reply
        };
        arrival.status = match reply {
            Reply::Accept | Reply::Drop => 202,
            Reply::Status(code) | Reply::RetryAfter(code, _) => code,
            Reply::CutOff | Reply::Hang => 0,
        };
        arrival.recorded = reply == Reply::Accept;
        self.attempts += 1;
        self.recorded += usize::from(arrival.recorded);
        self.breaches.extend(faults);
        let of_visitor = self.in_flight.entry(visitor).or_default();
        *of_visitor += 1;
        self.peak_per_visitor = self.peak_per_visitor.max(*of_visitor);
        self.at_once += 1;
        self.peak = self.peak.max(self.at_once);
        if self.keeps {
            self.arrivals.push(arrival);
        }
        reply
    }

    fn leave(&mut self, visitor: &(String, String)) {
        self.at_once -= 1;
        if let Some(count) = self.in_flight.get_mut(visitor) {
            *count -= 1;
            if *count == 0 {
                self.in_flight.remove(visitor);
            }
        }
    }
}

/// What is wrong with an event.
fn judge(arrival: &Arrival, peer: IpAddr, body: &[u8]) -> Vec<String> {
    let mut faults = Vec::new();
    if !arrival.request.starts_with("POST ") || !arrival.request.ends_with("/api/event") {
        faults.push(format!("request {}", arrival.request));
    }
    let raw: Vec<(String, Vec<u8>)> = arrival
        .fields
        .iter()
        .map(|(n, v)| (n.clone(), v.chars().map(|c| c as u8).collect()))
        .collect();
    let fields: Vec<httparse::Header<'_>> = raw
        .iter()
        .map(|(name, value)| httparse::Header { name, value })
        .collect();
    faults.extend(breaches(&fields));
    if let Err(errors) = accept(&fields, peer, body) {
        faults.extend(errors.iter().map(|(field, text)| format!("{field}: {text}")));
    }
    faults
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
