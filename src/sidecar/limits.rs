//! What the system allows this process: open files, which connections are fitted to, and memory, which is
//! only told of.

use std::{fs, path::Path};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{config::Config, observe, proxy, queue, tracker::inject};

/// Descriptors for what runs beside the connections: standard streams, the log, signals, certificates and
/// lists that a reload reads, `/proc` for the metrics.
const PROCESS: usize = 40;
/// Of a worker: its listener, its reactor, a lookup of the app's name.
const WORKER: usize = 8;
/// Of the admin address: its listener, and connections up to its own bound.
const ADMIN: usize = 110;
/// Of the queue: segments, directory, lock.
const QUEUE: usize = 24;
/// Of what observes, beside the connections of copiers: its sockets, and the files of a log.
const OBSERVE: usize = 80;
/// Of delivery, beside a connection for each request in flight: a lookup, the certificates.
const DELIVERY: usize = 8;

/// Clients at once that nobody misses more of, unless they were asked for.
const ENOUGH: usize = 1000;

/// Memory of the process itself, in bytes: code, stacks, tables, the newest decisions.
const BASE_MEMORY: u64 = 32 << 20;
/// What a connection without TLS holds at most beside its head, in bytes: a piece of the request's body or of
/// the response's, and half a KiB of its own.
const PLAIN_CONNECTION: u64 = (64 << 10) + 512;
/// What a connection over TLS, which may be HTTP/2, holds at most (RELIABILITY P15), in bytes.
const TLS_CONNECTION: u64 = 1 << 20;
/// What the connection of a copier holds at most: its head, and buffers of hyper's.
const COPIER: u64 = 80 << 10;
/// What is kept in memory of each event on disk, in bytes, and the least that such an event takes there.
const EVENT_IN_MEMORY: u64 = 64;
const EVENT_ON_DISK: u64 = 256;
/// What comes from the stream: events up to the bound of their bytes, twice for those on their way, and what is
/// known of each.
const STREAMED: u64 = 192 << 20;
/// What a queue on disk keeps in memory while its disk is out of use, in bytes.
const DISK_FALLBACK: u64 = 16 << 20;

/// Raises the limit of open files as far as this process may, and fits the connections to it.
pub(super) fn fit(config: &mut Config) {
    let Some(limit) = raise_open_files() else { return };
    let observed = observed_descriptors(&config.observe);
    let beside = PROCESS + ADMIN + QUEUE + DELIVERY + config.delivery.concurrency + observed;
    let Some(proxy) = &mut config.proxy else { return };
    let reserved = beside + proxy.workers * WORKER;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let wanted = proxy.max_connections;
    fit_connections(proxy, limit, reserved);
    let fitted = proxy.max_connections;
    if fitted == wanted {
        return;
    }
    let needed = needed(wanted) + reserved;
    if fitted >= ENOUGH && config.is_default("listen.max_connections") {
        tracing::info!(
            open_files = limit,
            "max_connections is {fitted}, as the limit of open files allows"
        );
    } else {
        tracing::warn!(
            open_files = limit,
            "the limit of open files (ulimit -n) allows {fitted} clients at once instead of {wanted}, which need {needed}"
        );
    }
}

fn observed_descriptors(settings: &observe::Settings) -> usize {
    let copiers = settings.mirror.map_or(0, |_| observe::MIRROR_CONNECTIONS);
    if settings.is_used() { OBSERVE + copiers } else { 0 }
}

/// The limit of open files, raised to what may be; none where there is no limit.
fn raise_open_files() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // The kernel accepts no more than this for any process, whatever the hard limit says.
    let ceiling = fs::read_to_string("/proc/sys/fs/nr_open");
    let ceiling = ceiling.ok().and_then(|text| text.trim().parse().ok());
    let wanted = maximum.or(ceiling)?;
    if current.is_some_and(|current| current >= wanted) {
        return current;
    }
    let raised = Rlimit {
        current: Some(wanted),
        maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => Some(wanted),
        Err(error) => {
            tracing::debug!(%error, "the limit of open files stays as it is");
            current
        }
    }
}

/// A client needs a descriptor for itself and one for its connection to the app; an eighth of all is for idle
/// connections to the app.
fn fit_connections(proxy: &mut proxy::Settings, limit: usize, reserved: usize) {
    let available = limit.saturating_sub(reserved).max(limit / 2).max(2);
    let clients = (available - available / 8) / 2;
    proxy.max_connections = proxy.max_connections.min(clients.max(1));
    let bound = proxy::Settings::unbounded_app_connections(proxy.max_connections);
    proxy.max_app_connections = (available - proxy.max_connections).min(bound);
}

/// The descriptors with which so many clients are served, by the same reckoning.
fn needed(clients: usize) -> usize {
    clients.saturating_mul(16).div_ceil(7)
}

/// Logs by how much memory the configuration is bounded, and warns where the system allows less.
pub(super) fn log_memory(config: &Config) {
    let bound = memory_bound(config);
    match memory_limit() {
        Some((limit, whose)) if limit < bound => tracing::warn!(
            bound_mib = bound >> 20,
            limit_mib = limit >> 20,
            "at its busiest this configuration may take {} MiB of memory, and {whose} allows {} MiB; lower [listen] \
             max_connections or max_head_bytes, or [queue] max_bytes",
            bound >> 20,
            limit >> 20
        ),
        _ => tracing::info!(bound_mib = bound >> 20, "memory is bounded"),
    }
}

/// The most memory that connections and queue may take together.
fn memory_bound(config: &Config) -> u64 {
    let connections = config.proxy.as_ref().map_or(0, |proxy| {
        let connection = if proxy.tls.is_some() || proxy.http2 {
            TLS_CONNECTION
        } else {
            PLAIN_CONNECTION + proxy.max_head_bytes as u64
        };
        proxy.max_connections as u64 * connection
    });
    let copiers = config.observe.mirror.map_or(0, |_| observe::MIRROR_CONNECTIONS);
    let queue = match config.queue.at {
        // There is never anything in it.
        _ if config.is_gateway => 0,
        queue::At::Memory => {
            config.queue.max_bytes + config.queue.max_bytes / EVENT_ON_DISK * EVENT_IN_MEMORY
        }
        queue::At::Disk(_) => config.queue.max_bytes / EVENT_ON_DISK * EVENT_IN_MEMORY + DISK_FALLBACK,
    };
    let pages = config.proxy.as_ref().map_or(0, |proxy| match proxy.inject {
        Some(_) => proxy.workers * inject::ROOM,
        None => 0,
    });
    let tracker = config.tracker.most_memory() + pages as u64;
    let delivers = config.is_gateway || config.stream.as_ref().is_some_and(|stream| stream.deliver);
    let streamed = if delivers { STREAMED } else { 0 };
    BASE_MEMORY + connections + copiers as u64 * COPIER + queue + tracker + streamed
}

/// The lowest limit that holds for this process, and whose it is.
fn memory_limit() -> Option<(u64, &'static str)> {
    let address_space = getrlimit(Resource::As).current;
    let address_space = address_space.map(|limit| (limit, "the limit of its address space (ulimit -v)"));
    let cgroup = fs::read_to_string("/proc/self/cgroup")
        .ok()
        .and_then(|groups| cgroup_limit(&groups, Path::new("/sys/fs/cgroup")));
    let cgroup = cgroup.map(|limit| (limit, "its container (cgroup)"));
    [address_space, cgroup].into_iter().flatten().min()
}

/// The lowest memory limit of a process's cgroups and their parents, below `mount`.
fn cgroup_limit(groups: &str, mount: &Path) -> Option<u64> {
    let limits = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let (root, file) = match controllers {
            "" => (mount.to_owned(), "memory.max"),
            v1 if v1.split(',').any(|c| c == "memory") => (mount.join("memory"), "memory.limit_in_bytes"),
            _ => return None,
        };
        let inner = Path::new(path.trim_start_matches('/'));
        // Within a container the path may be the host's; the root of what is mounted is then the container's
        // own.
        inner
            .ancestors()
            .filter_map(|group| fs::read_to_string(root.join(group).join(file)).ok())
            .filter_map(|text| text.trim().parse::<u64>().ok())
            .min()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_to_be_needed_is_enough_and_no_more() {
        for clients in [1, 100, 10_000] {
            let fits = |available: usize| (available - available / 8) / 2 >= clients;
            assert!(fits(needed(clients)) && !fits(needed(clients) - 3), "{clients}");
        }
    }

    #[test]
    fn the_lowest_limit_of_all_groups_counts() {
        let mount = tempfile::tempdir().unwrap();
        let group = mount.path().join("pods/ours");
        fs::create_dir_all(&group).unwrap();
        fs::write(mount.path().join("pods/memory.max"), "67108864\n").unwrap();
        fs::write(group.join("memory.max"), "max\n").unwrap();
        assert_eq!(cgroup_limit("0::/pods/ours\n", mount.path()), Some(64 << 20));
        fs::write(group.join("memory.max"), "1048576\n").unwrap();
        assert_eq!(cgroup_limit("0::/pods/ours\n", mount.path()), Some(1 << 20));
        assert_eq!(cgroup_limit("0::/elsewhere\n", mount.path()), None);

        fs::create_dir(mount.path().join("memory")).unwrap();
        fs::write(mount.path().join("memory/memory.limit_in_bytes"), "2097152\n").unwrap();
        let groups = "9:cpu:/x\n4:memory:/docker/abc\n";
        assert_eq!(cgroup_limit(groups, mount.path()), Some(2 << 20));
    }
}
