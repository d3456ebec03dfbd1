//! The running parts of a sidecar: builds them and starts them in order.

use std::{
    net::SocketAddr,
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};

use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use super::{
    decisions::{self, LateDecisions},
    error::StartError,
    limits,
    reloadable::{live, load_tls, observe_rules, tls_of},
    reloads::Reloads,
    sockets::PassedSockets,
    start,
    status::{ExplainPasted, Reloadable, StatusParts, decisions_since, explain_request, take_status},
    upkeep,
};

use crate::{
    admin,
    config::Config,
    delivery::{self, Delivery},
    lifecycle::{AppCommand, AppProcess, Readiness, ServiceManager},
    observe::{self, Observe},
    page,
    proxy::{self, Proxy},
    stream::{self, Stream},
    telemetry::{self, Troubles},
    tracker,
};

/// How long the data path's start waits for the queue to be recovered. Events are stored at once after that.
/// A queue that takes longer does not keep visitors from the app.
const RECOVERY_WAIT: Duration = Duration::from_millis(250);

/// Everything that runs.
pub(super) struct Running {
    pub(super) delivery: Delivery,
    /// None where no stream is configured. It ends when this is dropped.
    pub(super) stream: Option<Stream>,
    /// Whether this process delivers from the stream and does nothing else.
    pub(super) is_gateway: bool,
    /// None without an app.
    pub(super) proxy: Option<Proxy>,
    /// None where nothing is observed.
    pub(super) observe: Option<Observe>,
    pub(super) tls: Option<proxy::Loaded>,
    pub(super) admin: JoinHandle<()>,
    pub(super) admin_address: SocketAddr,
    pub(super) stop_admin: oneshot::Sender<()>,
    pub(super) readiness: Readiness,
    pub(super) probes: Arc<admin::Probes>,
    pub(super) reloads: Reloads,
    pub(super) reloadable: Arc<RwLock<Reloadable>>,
    pub(super) upkeep: JoinHandle<()>,
    pub(super) newest: admin::DecisionsSince,
    pub(super) manager: ServiceManager,
    /// The app, if this process has started it.
    pub(super) app: Option<AppProcess>,
}

impl Running {
    /// Builds and starts all parts but the app. What the system does not allow is taken back in `config`.
    ///
    /// # Errors
    /// [`StartError`]; the parts that were started before it are stopped.
    pub(super) async fn start(
        config: &mut Config,
        explain: ExplainPasted,
        sockets: PassedSockets,
    ) -> Result<Self, StartError> {
        let started = Instant::now();
        limits::fit(config);
        let config: &Config = config;
        let registry = telemetry::registry()?;
        let troubles = Troubles::register(&registry).map_err(telemetry::Error::from)?;
        let reloads = Reloads::register(&registry, troubles.clone()).map_err(telemetry::Error::from)?;
        let tls = load_tls(tls_of(config), None)?;
        let (admin_listener, admin_address) = bind_admin(config.admin.address, sockets.admin).await?;

        let decisions = decisions::register(&registry).map_err(telemetry::Error::from)?;
        let late = LateDecisions::new(&decisions);
        let workers = config.proxy.as_ref().map_or(0, |proxy| proxy.workers);
        let observers = usize::from(config.observe.is_used());
        let stream = match &config.stream {
            Some(settings) => Some(stream::start(settings.clone(), &registry)?),
            None => None,
        };
        let (delivery, mut outboxes) = delivery::start(
            config.delivery.clone(),
            config.queue.clone(),
            config.event.clone(),
            workers + observers,
            delivery::DeliveryLinks {
                registry: &registry,
                decisions: late.clone(),
                troubles: troubles.clone(),
                role: role(config, stream.as_ref()),
            },
        )?;
        delivery.recovered(RECOVERY_WAIT).await;
        let both = config.proxy.is_some() && config.observe.is_used();
        let twins = both.then(|| Arc::new(page::Twins::new()));
        let observe = match outboxes.pop_if(|_| config.observe.is_used()) {
            None => None,
            Some(outbox) => {
                let links = observe::ObserveLinks {
                    outbox,
                    feed: delivery.feed(),
                    registry: &registry,
                    decisions: &decisions,
                    twins: twins.clone(),
                };
                Some(observe::start(&config.observe, observe_rules(config), links)?)
            }
        };
        let proxy = match &config.proxy {
            None => None,
            Some(settings) => {
                let live = live(config, tls.clone());
                let links = proxy::ProxyLinks {
                    outboxes,
                    registry: &registry,
                    decisions: &decisions,
                    twins,
                    tracker: tracker::start(config.tracker.clone(), delivery.desk(), &registry)?,
                    troubles: troubles.clone(),
                    passed: sockets.listen,
                };
                Some(proxy::start(settings, &live, links)?)
            }
        };

        let readiness = Readiness::default();
        let probes = Arc::new(admin::Probes::default());
        let reloadable = Arc::new(RwLock::new(Reloadable::of(config)));
        let newest = decisions_since(proxy.as_ref(), observe.as_ref(), &late);
        let inputs = admin::Inputs {
            registry,
            ready: readiness.watch(),
            status: take_status(StatusParts {
                started,
                config,
                readiness: &readiness,
                admin: admin_address,
                proxy: proxy.as_ref(),
                observe: observe.as_ref(),
                delivery: &delivery,
                stream: stream.as_ref(),
                decisions,
                troubles: &troubles,
                reloadable: &reloadable,
            }),
            decisions: Arc::clone(&newest),
            explain: explain_request(&reloadable, explain),
            probes: Arc::clone(&probes),
        };
        let (stop_admin, stopped) = oneshot::channel::<()>();
        let admin_settings = config.admin.clone();
        let admin = tokio::spawn(async move {
            let shutdown = async {
                // An error means that the sender was dropped, which also asks to stop.
                let _ = stopped.await;
            };
            admin::serve(admin_listener, &admin_settings, inputs, shutdown).await;
        });
        let upkeep = upkeep::start(upkeep::Watched {
            troubles,
            delivery: delivery.watcher(),
            proxy: proxy.as_ref().map(Proxy::handle),
            stream: stream.as_ref().map(Stream::watcher),
        });
        readiness.turn_on();
        start::log(
            config,
            proxy.as_ref().map(Proxy::bound),
            observe.as_ref(),
            admin_address,
        );
        limits::log_memory(config);
        let manager = ServiceManager::of_environment();
        manager.ready("Serving");
        Ok(Running {
            delivery,
            stream,
            is_gateway: config.is_gateway,
            proxy,
            observe,
            tls,
            admin,
            admin_address,
            stop_admin,
            readiness,
            probes,
            reloads,
            reloadable,
            upkeep,
            newest,
            manager,
            app: None,
        })
    }

    /// Starts the app. From then on its end is the sidecar's.
    pub(super) fn start_app(&mut self, command: &AppCommand) -> Result<(), StartError> {
        let app = command.start().map_err(|source| StartError::App {
            program: command.program.display().to_string(),
            source,
        })?;
        tracing::info!(
            pid = app.id(),
            port = command.port,
            program = %command.program.display(),
            "the app is started"
        );
        self.app = Some(app);
        Ok(())
    }
}

/// Where events come from and go to by this configuration.
fn role<'a>(config: &Config, stream: Option<&'a Stream>) -> delivery::Role<'a> {
    let delivers = config.stream.as_ref().is_some_and(|stream| stream.deliver);
    match stream {
        None => delivery::Role::Deliver,
        Some(stream) if config.is_gateway => delivery::Role::Gateway(stream),
        Some(stream) if delivers => delivery::Role::PublishAndDeliver(stream),
        Some(stream) => delivery::Role::Publish(stream),
    }
}

async fn bind_admin(
    at: SocketAddr,
    passed: Option<std::net::TcpListener>,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Admin { at, source };
    let listener = match passed {
        Some(passed) => passed
            .set_nonblocking(true)
            .and_then(|()| TcpListener::from_std(passed)),
        None => TcpListener::bind(at).await,
    };
    let listener = listener.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}
