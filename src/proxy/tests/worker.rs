//! A worker's context without its thread and listener: a test hands it connections, and plays the app.

use std::{
    future::Future,
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime},
};

use prometheus::{IntCounterVec, Opts, Registry};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    runtime::LocalOptions,
    sync::Semaphore,
};

use super::super::{
    context::{Context, Shared},
    live::Live,
    metrics::Metrics,
    recent::RecentRequest,
    settings::{App, Listen, Settings, Upstream},
    throttles::Throttles,
};
use crate::{
    client,
    delivery::{self, AddressHeader, Base, DecidedRequest, Delivery, DeliveryLinks, HeldDecisions, Outbox},
    event::{self, Sites},
    page::{self, Decision},
    queue,
    telemetry::Troubles,
    tracker::inject::Injection,
};

/// How long a test waits for bytes that are to come: generous, as the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// A context, and the app that its requests go to.
pub(in crate::proxy) struct Worker {
    pub(in crate::proxy) context: Rc<Context>,
    registry: Registry,
    decisions: IntCounterVec,
    app: UnixListener,
    /// The end of this is the end of the outbox's other side.
    _delivery: Delivery,
    _directory: TempDir,
}

/// Nobody wants to know of late decisions.
#[derive(Debug)]
struct Nobody;

impl HeldDecisions for Nobody {
    fn decided(&self, _: DecidedRequest) {}
}

/// What decisions are counted by.
pub(in crate::proxy) fn counted_decisions() -> IntCounterVec {
    IntCounterVec::new(Opts::new("decisions", "Decisions."), &["decision"]).unwrap()
}

/// How often each decision was taken, those that were not left out.
pub(in crate::proxy) fn decided(decisions: &IntCounterVec) -> Vec<(&'static str, u64)> {
    Decision::ALL
        .into_iter()
        .map(|decision| {
            (
                decision.label(),
                decisions.with_label_values(&[decision.label()]).get(),
            )
        })
        .filter(|(_, count)| *count > 0)
        .collect()
}

/// Runs a test as a worker runs: on one thread, whose tasks need not be `Send`.
pub(in crate::proxy) fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .unwrap()
        .block_on(test);
}

/// Gives every task its turn, and the runtime a look at its sockets, until nothing is left to do.
pub(in crate::proxy) async fn see_sockets() {
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Lets time pass by the runtime's clock, without a wait.
pub(in crate::proxy) async fn pass(time: Duration) {
    see_sockets().await;
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
    see_sockets().await;
}

impl Worker {
    /// With times so long that none of them passes.
    pub(in crate::proxy) fn new() -> Self {
        Worker::with(|_| {})
    }

    /// With other settings than the usual ones.
    pub(in crate::proxy) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("app");
        let app = UnixListener::bind(&socket).unwrap();
        let registry = Registry::new();
        let (delivery, mut outboxes) = deliver(&registry);
        let mut settings = settings(Upstream::Unix(socket));
        change(&mut settings);
        let decisions = counted_decisions();
        let metrics = Metrics::register(&registry, &decisions).unwrap();
        Worker {
            context: Rc::new(Context::new(shared(settings, outboxes.remove(0), metrics))),
            registry,
            decisions,
            app,
            _delivery: delivery,
            _directory: directory,
        }
    }

    /// The app's end of the next new connection to it.
    pub(in crate::proxy) async fn accept(&self) -> FarEnd {
        let accepted = tokio::time::timeout(PATIENCE, self.app.accept()).await;
        FarEnd(accepted.expect("a connection to the app").unwrap().0)
    }

    /// Whether no new connection waits for the app to accept it.
    pub(in crate::proxy) async fn is_app_left_alone(&self) -> bool {
        tokio::time::timeout(Duration::from_millis(20), self.app.accept())
            .await
            .is_err()
    }

    /// A counter or gauge; its series with this label value where one is named, else their sum.
    pub(in crate::proxy) fn metric(&self, name: &str, label: Option<&str>) -> i64 {
        let families = self.registry.gather();
        let series = families
            .iter()
            .filter(|family| family.name() == name)
            .flat_map(prometheus::proto::MetricFamily::get_metric);
        let named = series.filter(|metric| {
            label.is_none_or(|label| metric.get_label().iter().any(|pair| pair.value() == label))
        });
        named
            .map(|metric| (metric.get_counter().get_value() + metric.get_gauge().get_value()) as i64)
            .sum()
    }

    /// Decisions so far, by their label.
    pub(in crate::proxy) fn decisions(&self) -> Vec<(&'static str, u64)> {
        decided(&self.decisions)
    }

    /// The newest decisions.
    pub(in crate::proxy) fn recent(&self) -> Vec<RecentRequest> {
        let recent = self.context.recent.borrow();
        recent.since(0, self.context.now(), SystemTime::now())
    }
}

/// The test's end of a connection.
pub(in crate::proxy) struct FarEnd(pub(in crate::proxy) UnixStream);

impl FarEnd {
    /// Sends all of it.
    pub(in crate::proxy) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = tokio::time::timeout(PATIENCE, self.0.write_all(bytes.as_ref())).await;
        sent.expect("the other side reads").unwrap();
    }

    /// Reads exactly these bytes.
    #[track_caller]
    pub(in crate::proxy) fn expect(&mut self, text: &str) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let mut read = vec![0; text.len()];
            let mut at = 0;
            while at < read.len() {
                let n = tokio::time::timeout(PATIENCE, self.0.read(&mut read[at..])).await;
                let got = String::from_utf8_lossy(&read[..at]).into_owned();
                let n = n.unwrap_or_else(|_| panic!("{caller}: only {got:?} came"));
                match n {
                    Ok(n) if n > 0 => at += n,
                    end => panic!("{caller}: {got:?} came, and then {end:?}"),
                }
                if !text.as_bytes().starts_with(&read[..at]) {
                    break;
                }
            }
            let got = String::from_utf8_lossy(&read[..at]);
            assert_eq!(got, text, "{caller}");
        }
    }

    /// Reads a head, up to and with its empty line.
    pub(in crate::proxy) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = tokio::time::timeout(PATIENCE, self.0.read_u8()).await;
            match byte.expect("a head") {
                Ok(byte) => head.push(byte),
                Err(end) => panic!("{end} after {:?}", String::from_utf8_lossy(&head)),
            }
        }
        String::from_utf8(head).unwrap()
    }

    /// Reads what there is, waiting for the first byte.
    pub(in crate::proxy) async fn some(&mut self) -> String {
        let mut some = vec![0; 4096];
        let read = tokio::time::timeout(PATIENCE, self.0.read(&mut some)).await;
        match read.expect("some bytes") {
            Ok(n) if n > 0 => String::from_utf8_lossy(&some[..n]).into_owned(),
            end => panic!("bytes were to come, not {end:?}"),
        }
    }

    /// Reads until the other side has ended, be it by a reset.
    pub(in crate::proxy) async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let end = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut rest)).await;
        let _ = end.unwrap_or_else(|_| panic!("it goes on after {:?}", String::from_utf8_lossy(&rest)));
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// Sends what the other side takes of endless bytes; how many these were.
    pub(in crate::proxy) async fn fill(&mut self) -> usize {
        let (piece, mut taken) = (vec![b'x'; 64 * 1024], 0);
        while let Ok(written) = tokio::time::timeout(Duration::from_millis(50), self.0.write(&piece)).await {
            taken += written.unwrap();
        }
        taken
    }

    /// Whether the other side has sent nothing more, and has not ended.
    pub(in crate::proxy) async fn is_silent(&self) -> bool {
        see_sockets().await;
        let read = self.0.try_read(&mut [0]);
        matches!(read, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Says that nothing more is sent.
    pub(in crate::proxy) async fn end(&mut self) {
        self.0.shutdown().await.unwrap();
    }
}

/// What a context is made of, with everything counted for `example.com`.
pub(in crate::proxy) fn shared(settings: Settings, outbox: Outbox, metrics: Metrics) -> Shared {
    Shared {
        worker: 0,
        injection: settings
            .inject
            .clone()
            .map(|inject| Arc::new(Injection::new(inject))),
        settings,
        live: Arc::new(Live {
            client: client::Settings::default(),
            page: page::PageRules::default(),
            sites: Sites::every(&["example.com".to_owned()]),
            events: Vec::new(),
            tls: None,
        }),
        outbox,
        metrics,
        permits: Arc::new(Semaphore::new(8)),
        app_places: Arc::new(Semaphore::new(8)),
        connector: Arc::default(),
        memory: Arc::new(page::PageMemory::default()),
        twins: None,
        throttles: Arc::new(Throttles::new(Troubles::default())),
        tracker: None,
    }
}

/// Settings with times so long that none of them passes.
pub(in crate::proxy) fn settings(upstream: Upstream) -> Settings {
    Settings {
        listen: Listen::Tcp("127.0.0.1:0".parse().unwrap()),
        workers: 1,
        proxy_protocol: false,
        drain: PATIENCE,
        max_connections: 8,
        max_app_connections: 64,
        header_timeout: PATIENCE,
        idle_timeout: PATIENCE,
        max_head_bytes: 64 * 1024,
        tls: None,
        http2: false,
        max_streams: 128,
        body_timeout: Duration::from_secs(30),
        min_rate: 0,
        app: App {
            upstream,
            connect_timeout: PATIENCE,
            response_timeout: PATIENCE,
            keep_alive: PATIENCE,
            is_ours: false,
        },
        inject: None,
    }
}

/// Delivery with a queue in memory, to a Plausible that is not there.
pub(in crate::proxy) fn deliver(registry: &Registry) -> (Delivery, Vec<Outbox>) {
    let long = Duration::from_hours(1);
    let settings = delivery::Settings {
        base: Base {
            https: false,
            host: "127.0.0.1".to_owned(),
            port: 9,
            path: String::new(),
        },
        proxy: None,
        address_headers: vec![AddressHeader::XForwardedFor],
        timeout: Duration::from_secs(5),
        concurrency: 1,
        max_age: long,
        retry_initial: long,
        retry_max: long,
        max_tries: 1,
        ca_file: None,
    };
    let queue = queue::Settings {
        at: queue::At::Memory,
        max_bytes: 64 << 20,
        max_age: long,
    };
    let links = DeliveryLinks {
        registry,
        decisions: Arc::new(Nobody),
        troubles: Troubles::default(),
        role: delivery::Role::default(),
    };
    delivery::start(settings, queue, event::EventRules::default(), 1, links).unwrap()
}
