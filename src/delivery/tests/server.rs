//! A Plausible that does as it is told.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// One request as it came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// The head, line ends included.
    pub(super) head: String,
    pub(super) body: String,
    /// Which connection it came over, counted from 0.
    pub(super) connection: usize,
    pub(super) arrived: Instant,
    /// How many requests were being answered when it came, itself included.
    pub(super) at_once: usize,
    /// Whether another one of its visitor was.
    pub(super) contends: bool,
}

impl Seen {
    pub(super) fn field(&self, name: &str) -> &str {
        let line = self.head.lines().find(|line| {
            line.split_once(": ")
                .is_some_and(|(field, _)| field.eq_ignore_ascii_case(name))
        });
        line.map_or("", |line| line.split_once(": ").unwrap().1)
    }

    pub(super) fn visitor(&self) -> &str {
        self.field("x-forwarded-for")
    }
}

/// What to answer.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    bytes: Vec<u8>,
    after: Duration,
    close: bool,
}

impl Reply {
    /// A whole response with a short body and further field lines.
    pub(super) fn status(status: u16, fields: &[&str]) -> Self {
        let fields = fields
            .iter()
            .fold(String::new(), |all, field| all + field + "\r\n");
        Reply::raw(&format!(
            "HTTP/1.1 {status} Some Reason\r\n{fields}Content-Length: 2\r\n\r\nok"
        ))
    }

    pub(super) fn accepted() -> Self {
        Reply::status(202, &[])
    }

    /// These bytes, and the connection stays.
    pub(super) fn raw(bytes: &str) -> Self {
        Reply {
            bytes: bytes.as_bytes().to_vec(),
            after: Duration::ZERO,
            close: false,
        }
    }

    pub(super) fn after(mut self, millis: u64) -> Self {
        self.after = Duration::from_millis(millis);
        self
    }

    pub(super) fn and_close(mut self) -> Self {
        self.close = true;
        self
    }
}

/// The server. It answers until the process ends.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Default)]
struct Busy {
    requests: AtomicUsize,
    visitors: Mutex<Vec<String>>,
}

impl Server {
    /// Answers the nth request (from 0) as `reply` says.
    pub(super) fn start(reply: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (reply, busy, log) = (Arc::new(reply), Arc::new(Busy::default()), seen.clone());
        thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                let (reply, busy, log) = (reply.clone(), busy.clone(), log.clone());
                thread::spawn(move || serve(stream, number, &*reply, &busy, &log));
            }
        });
        Server { address, seen }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    connection: usize,
    reply: &(dyn Fn(usize, &Seen) -> Reply + Sync),
    busy: &Busy,
    log: &Mutex<Vec<Seen>>,
) {
    stream.set_nodelay(true).unwrap();
    let mut read = Vec::new();
    while let Some((head, body)) = next_request(&mut stream, &mut read) {
        let mut seen = Seen {
            head,
            body,
            connection,
            arrived: Instant::now(),
            at_once: busy.requests.fetch_add(1, Ordering::SeqCst) + 1,
            contends: false,
        };
        let visitor = seen.visitor().to_owned();
        let mut visitors = busy.visitors.lock().unwrap();
        seen.contends = visitors.contains(&visitor);
        visitors.push(visitor.clone());
        drop(visitors);
        let number = {
            let mut log = log.lock().unwrap();
            log.push(seen.clone());
            log.len() - 1
        };
        let reply = reply(number, &seen);
        thread::sleep(reply.after);
        let mut visitors = busy.visitors.lock().unwrap();
        let place = visitors.iter().position(|other| *other == visitor).unwrap();
        visitors.remove(place);
        drop(visitors);
        busy.requests.fetch_sub(1, Ordering::SeqCst);
        if stream.write_all(&reply.bytes).is_err() || reply.close {
            return;
        }
    }
}

fn next_request(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<(String, String)> {
    loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end + 4]).into_owned();
            let length = head
                .to_ascii_lowercase()
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
                .unwrap_or(0);
            if read.len() >= end + 4 + length {
                let body = String::from_utf8_lossy(&read[end + 4..end + 4 + length]).into_owned();
                read.drain(..end + 4 + length);
                return Some((head, body));
            }
        }
        let mut more = [0; 4_096];
        let count = stream.read(&mut more).ok().filter(|count| *count > 0)?;
        read.extend_from_slice(&more[..count]);
    }
}
