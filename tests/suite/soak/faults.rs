//! The faults of the soak: each begins, lasts for a while beside others, and ends.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead, BufReader},
    net::TcpStream,
    path::PathBuf,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use crate::support::{
    client::Client,
    faults::{CALLS, ERRORS, Faults},
    process::{Builder, Sidecar},
    receiver::{Receiver, Reply},
};

/// Clients that hold connections at once.
const HOLDERS: usize = 200;

/// What Plausible does with events that reach it.
#[derive(Debug, Default, Clone, Copy)]
pub(super) enum Mood {
    #[default]
    Well,
    Always(Reply),
    /// Each event another answer, of all kinds.
    Stormy,
    /// Every third event is refused for good with this status, or by its connection's end.
    Poisoned(Option<u16>),
}

impl Mood {
    pub(super) fn reply(self) -> Reply {
        match self {
            Mood::Always(reply) => reply,
            Mood::Stormy => *fastrand::choice(&[
                Reply::Accept,
                Reply::Drop,
                Reply::Status(400),
                Reply::Status(500),
                Reply::Status(503),
                Reply::RetryAfter(429, 1),
                Reply::CutOff,
            ])
            .expect("several"),
            Mood::Poisoned(status) if fastrand::u8(..3) == 0 => status.map_or(Reply::CutOff, Reply::Status),
            Mood::Well | Mood::Poisoned(_) => Reply::Accept,
        }
    }
}

/// The sidecar, and all that can be done to it.
pub(super) struct Scene {
    sidecar: Sidecar,
    plausible: Receiver,
    mood: Arc<Mutex<Mood>>,
    /// None without a C compiler.
    disk: Option<Faults>,
    queue: PathBuf,
    config: String,
    log: Arc<Log>,
}

/// The sidecar's log, and whether somebody reads it.
#[derive(Default)]
struct Log {
    unread: AtomicBool,
    lines: Mutex<Vec<String>>,
}

impl Scene {
    pub(super) fn start(builder: Builder, plausible: Receiver, mood: Arc<Mutex<Mood>>) -> Scene {
        let disk = Faults::new();
        let builder = match &disk {
            Some(disk) => disk.before(builder),
            None => builder,
        };
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let log = Arc::<Log>::default();
        let read = Arc::clone(&log);
        thread::spawn(move || {
            for line in BufReader::new(reader).lines().map_while(Result::ok) {
                while read.unread.load(SeqCst) {
                    thread::sleep(Duration::from_millis(10));
                }
                read.lines.lock().unwrap().push(line);
            }
        });
        let sidecar = builder.start_unheard(writer.into());
        let file = sidecar.builder().file();
        let config = fs::read_to_string(file).expect("the configuration");
        let queue = sidecar.builder().directory().join("queue");
        Scene {
            sidecar,
            plausible,
            mood,
            disk,
            queue,
            config,
            log,
        }
    }

    pub(super) fn sidecar(&self) -> &Sidecar {
        &self.sidecar
    }

    /// Whether a line says that events are lost.
    pub(super) fn log_names_losses(&self) -> bool {
        let lines = self.log.lines.lock().unwrap();
        lines.iter().any(|line| line.contains("lost"))
    }

    fn feel(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// The queue's newest segment.
    fn active(&self) -> Option<PathBuf> {
        let entries = fs::read_dir(&self.queue).ok()?;
        let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
        files
            .filter(|file| file.extension().is_some_and(|e| e == "seg"))
            .max()
    }
}

/// Something that goes wrong.
pub(super) trait Fault {
    /// Of two of a kind only one is under way at a time.
    fn kind(&self) -> &'static str;
    fn begin(&mut self, scene: &Scene);
    fn end(&mut self, scene: &Scene);
}

/// Any fault.
pub(super) fn any(random: &mut fastrand::Rng) -> Box<dyn Fault> {
    match random.u8(..10) {
        0 => Box::new(Upstream(random.u8(..7))),
        1 => Box::new(Events(random.u8(..6))),
        2 => Box::new(Disk(random.usize(..CALLS.len()), random.usize(..3))),
        3 => Box::new(Files(random.u8(..5))),
        4 => Box::new(Unread),
        5 => Box::new(Holders(random.u8(..5), Vec::new())),
        6 => Box::new(Noise),
        7 => Box::new(Reload),
        8 => Box::new(Stopped),
        _ => Box::new(Limit),
    }
}

/// Plausible as a whole.
struct Upstream(u8);

impl Fault for Upstream {
    fn kind(&self) -> &'static str {
        "Plausible"
    }

    fn begin(&mut self, scene: &Scene) {
        match self.0 {
            0 => scene.plausible.die(),
            1 => scene.plausible.babble(),
            2 => scene.feel(Mood::Always(Reply::Hang)),
            3 => scene.feel(Mood::Always(Reply::CutOff)),
            4 => scene.feel(Mood::Always(Reply::RetryAfter(503, 1))),
            5 => scene.feel(Mood::Always(Reply::Drop)),
            _ => scene.feel(Mood::Always(Reply::Status(500))),
        }
    }

    fn end(&mut self, scene: &Scene) {
        scene.plausible.come_back();
        scene.feel(Mood::Well);
    }
}

/// Some events.
struct Events(u8);

impl Fault for Events {
    fn kind(&self) -> &'static str {
        "Plausible"
    }

    fn begin(&mut self, scene: &Scene) {
        scene.feel(match self.0 {
            0 => Mood::Stormy,
            1 => Mood::Poisoned(Some(400)),
            2 => Mood::Poisoned(Some(431)),
            3 => Mood::Poisoned(Some(500)),
            4 => Mood::Poisoned(Some(403)),
            _ => Mood::Poisoned(None),
        });
    }

    fn end(&mut self, scene: &Scene) {
        scene.feel(Mood::Well);
    }
}

/// A call of the file system fails, or hangs.
struct Disk(usize, usize);

impl Fault for Disk {
    fn kind(&self) -> &'static str {
        "disk"
    }

    fn begin(&mut self, scene: &Scene) {
        let Some(disk) = &scene.disk else { return };
        match ERRORS.get(self.1) {
            Some(error) => disk.fail(CALLS[self.0], *error),
            None => disk.hang(CALLS[self.0]),
        }
    }

    fn end(&mut self, scene: &Scene) {
        if let Some(disk) = &scene.disk {
            disk.mend();
        }
    }
}

/// Something is done to the queue's files. What was there before may not be any more: another deed was first.
struct Files(u8);

impl Fault for Files {
    fn kind(&self) -> &'static str {
        "files"
    }

    fn begin(&mut self, scene: &Scene) {
        let active = scene.active();
        // What is in the way is another fault's.
        let _ = match (self.0, active) {
            (0, _) => fs::remove_dir_all(&scene.queue),
            (1, _) => {
                let away = scene.queue.with_extension("away");
                let _ = fs::remove_dir_all(&away);
                fs::rename(&scene.queue, away)
            }
            (2, Some(file)) => fs::remove_file(file),
            (3, Some(file)) => OpenOptions::new()
                .write(true)
                .open(&file)
                .and_then(|f| f.set_len(f.metadata()?.len() / 2)),
            (_, Some(file)) => OpenOptions::new()
                .write(true)
                .open(&file)
                .and_then(|f| f.set_len(0)),
            (_, None) => Ok(()),
        };
    }

    fn end(&mut self, _: &Scene) {}
}

/// Nobody reads the log.
struct Unread;

impl Fault for Unread {
    fn kind(&self) -> &'static str {
        "log"
    }

    fn begin(&mut self, scene: &Scene) {
        scene.log.unread.store(true, SeqCst);
    }

    fn end(&mut self, scene: &Scene) {
        scene.log.unread.store(false, SeqCst);
    }
}

/// Clients that take places and give nothing.
struct Holders(u8, Vec<TcpStream>);

impl Fault for Holders {
    fn kind(&self) -> &'static str {
        "clients"
    }

    fn begin(&mut self, scene: &Scene) {
        let (address, bytes): (_, &[u8]) = match self.0 {
            0 => (scene.sidecar.admin, b""),
            1 => (scene.sidecar.address, b""),
            2 => (scene.sidecar.address, b"GET /page/1 HTTP/1.1\r\nHo"),
            3 => (
                scene.sidecar.address,
                b"POST /echo/1 HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1000\r\n\r\nslow",
            ),
            _ => (
                scene.sidecar.address,
                b"GET /big/40 HTTP/1.1\r\nHost: example.com\r\n\r\n",
            ),
        };
        for _ in 0..HOLDERS {
            // The admin address has fewer places, and a stopped process takes none.
            if let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
                let _ = std::io::Write::write_all(&mut stream, bytes);
                self.1.push(stream);
            }
        }
    }

    fn end(&mut self, _: &Scene) {
        self.1.clear();
    }
}

/// Clients that speak nonsense.
struct Noise;

impl Fault for Noise {
    fn kind(&self) -> &'static str {
        "noise"
    }

    fn begin(&mut self, scene: &Scene) {
        for bytes in [
            &b"GET / HTTP/1.1\r\nno field\r\n\r\n"[..],
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\xff\xff\xff",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            &[0xff; 4096],
        ] {
            for _ in 0..20 {
                if let Ok(mut client) = Client::try_to(scene.sidecar.address) {
                    let _ = client.try_send(bytes);
                }
            }
        }
    }

    fn end(&mut self, _: &Scene) {}
}

/// The configuration is broken, and read.
struct Reload;

impl Fault for Reload {
    fn kind(&self) -> &'static str {
        "configuration"
    }

    fn begin(&mut self, scene: &Scene) {
        fs::write(scene.sidecar.builder().file(), "[pages\nbroken").expect("write the configuration");
        scene.sidecar.signal("HUP");
    }

    fn end(&mut self, scene: &Scene) {
        fs::write(scene.sidecar.builder().file(), &scene.config).expect("write the configuration");
        scene.sidecar.signal("HUP");
    }
}

/// The process is stopped for a while.
struct Stopped;

impl Fault for Stopped {
    fn kind(&self) -> &'static str {
        "process"
    }

    fn begin(&mut self, scene: &Scene) {
        scene.sidecar.signal("STOP");
        // Shorter than the time that is left to a request's head.
        thread::sleep(Duration::from_millis(800));
        scene.sidecar.signal("CONT");
    }

    fn end(&mut self, _: &Scene) {}
}

/// No file may be longer than 100,000 bytes.
struct Limit;

impl Limit {
    fn set(scene: &Scene, limit: &str) {
        let limited = Command::new("prlimit")
            .args([
                format!("--pid={}", scene.sidecar.id()),
                format!("--fsize={limit}:"),
            ])
            .status();
        assert!(limited.is_ok_and(|status| status.success()), "prlimit");
    }
}

impl Fault for Limit {
    fn kind(&self) -> &'static str {
        "limit"
    }

    fn begin(&mut self, scene: &Scene) {
        Limit::set(scene, "100000");
    }

    fn end(&mut self, scene: &Scene) {
        Limit::set(scene, "unlimited");
    }
}
