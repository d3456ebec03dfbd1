//! A strict HTTP proxy as a cluster's way out: CONNECT, and requests in absolute form.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use socket2::{Domain, Socket, Type};

/// A running proxy. It serves until the test's process ends.
pub(crate) struct ForwardProxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    down: bool,
    /// `user:password`, if it wants them.
    credentials: Option<String>,
    /// Answers everything so.
    refusal: Option<u16>,
    /// Method and target of each request, as they came.
    requests: Vec<String>,
    /// What no client of a proxy may send.
    breaches: Vec<String>,
    /// The open connections, to be cut off.
    connections: Vec<TcpStream>,
    /// Keeps the port while it is down.
    held: Option<Socket>,
}

impl ForwardProxy {
    /// One that lets everything through.
    pub(crate) fn start() -> ForwardProxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let proxy = ForwardProxy {
            address: listener.local_addr().expect("the bound address"),
            state: Arc::default(),
        };
        proxy.serve(listener);
        proxy
    }

    /// Host and port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, with these credentials in it.
    pub(crate) fn url(&self, credentials: &str) -> String {
        format!("http://{credentials}@{}", self.address)
    }

    /// Wants these credentials from now on, as `user:password`.
    pub(crate) fn want(&self, credentials: &str) {
        self.state().credentials = Some(credentials.to_owned());
    }

    /// Answers every request with this status.
    pub(crate) fn refuse(&self, status: u16) {
        self.state().refusal = Some(status);
    }

    /// Closes port and connections.
    pub(crate) fn die(&self) {
        let mut state = self.state();
        state.down = true;
        for connection in state.connections.drain(..) {
            // It may be closed already.
            let _ = connection.shutdown(Shutdown::Both);
        }
        drop(state);
        // Wakes the accepting thread, which then drops its listener and holds the port.
        let _ = TcpStream::connect(self.address);
        super::eventually("the proxy's end", || {
            self.state()
                .held
                .as_ref()
                .map(|_| ())
                .ok_or("it listens".to_owned())
        });
    }

    /// Is back on the same port.
    pub(crate) fn come_back(&self) {
        let mut state = self.state();
        state.down = false;
        let socket = state.held.take().expect("it was down");
        socket.listen(128).expect("listen");
        drop(state);
        self.serve(socket.into());
    }

    /// Method and target of each request so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    /// Nothing it was sent was anything but a proxy's due.
    #[track_caller]
    pub(crate) fn assert_strict(&self) {
        assert_eq!(self.state().breaches, Vec::<String>::new());
    }

    fn serve(&self, listener: TcpListener) {
        let (state, address) = (Arc::clone(&self.state), self.address);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mut locked = lock(&state);
                if locked.down {
                    break;
                }
                locked.connections.extend(client.try_clone());
                drop(locked);
                let state = Arc::clone(&state);
                // How a connection ends is the client's to judge.
                thread::spawn(move || converse(client, &state).is_ok());
            }
            drop(listener);
            lock(&state).held = Some(hold(address));
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Binds the port and does not listen: clients are refused, and nobody else gets it.
fn hold(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("set SO_REUSEADDR");
    socket.bind(&address.into()).expect("the port again");
    socket
}

/// A message's head: its first line, and its fields with names in lower case.
struct Head {
    first: String,
    fields: Vec<(String, String)>,
}

impl Head {
    fn read(from: &mut impl BufRead) -> io::Result<Head> {
        let mut lines = from.lines();
        let first = lines.next().ok_or(io::ErrorKind::UnexpectedEof)??;
        let mut fields = Vec::new();
        for line in lines {
            let line = line?;
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            fields.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        Ok(Head { first, fields })
    }

    fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body that belongs to it.
    fn body(&self, from: &mut impl Read) -> io::Result<Vec<u8>> {
        let length = self
            .field("content-length")
            .and_then(|length| length.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        from.read_exact(&mut body)?;
        Ok(body)
    }

    /// The message under another first line, without the proxy's own field.
    fn forward(&self, first: &str, body: &[u8]) -> Vec<u8> {
        let mut message = format!("{first}\r\n").into_bytes();
        for (name, value) in self
            .fields
            .iter()
            .filter(|(name, _)| name != "proxy-authorization")
        {
            message.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        message.extend_from_slice(b"\r\n");
        message.extend_from_slice(body);
        message
    }
}

/// One request, and the tunnel or the answer that follows.
fn converse(mut client: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let head = Head::read(&mut reader)?;
    let breach = || {
        lock(state)
            .breaches
            .push(format!("{} {:?}", head.first, head.fields));
        io::ErrorKind::InvalidData
    };
    let words: Vec<&str> = head.first.split(' ').collect();
    let [method, target, "HTTP/1.1"] = words[..] else {
        return Err(breach().into());
    };
    if let Some(status) = judge(method, target, &head, &mut lock(state)) {
        let more = "Proxy-Authenticate: Basic realm=\"egress\"\r\nContent-Length: 3\r\n\r\nno\n";
        return write!(client, "HTTP/1.1 {status} Refused\r\n{more}");
    }
    if method == "CONNECT" {
        let known = ["host", "user-agent", "proxy-authorization"];
        let mut names = head.fields.iter().map(|(name, _)| name.as_str());
        if head.field("host") != Some(target) || names.any(|name| !known.contains(&name)) {
            return Err(breach().into());
        }
        return tunnel(client, reader, target, state);
    }
    let origin = target
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'));
    let Some((authority, path)) = origin.filter(|(authority, _)| head.field("host") == Some(authority))
    else {
        return Err(breach().into());
    };
    let body = head.body(&mut reader)?;
    let mut server = TcpStream::connect(authority)?;
    server.write_all(&head.forward(&format!("{method} /{path} HTTP/1.1"), &body))?;
    let mut answers = BufReader::new(server);
    let answer = Head::read(&mut answers)?;
    let body = answer.body(&mut answers)?;
    client.write_all(&answer.forward(&answer.first, &body))?;
    client.shutdown(Shutdown::Both)
}

/// Writes the request down; the status with which it is refused, if it is.
fn judge(method: &str, target: &str, head: &Head, state: &mut State) -> Option<u16> {
    state.requests.push(format!("{method} {target}"));
    let wanted = state
        .credentials
        .as_ref()
        .map(|credentials| format!("Basic {}", BASE64_STANDARD.encode(credentials)));
    match wanted {
        Some(wanted) if head.field("proxy-authorization") != Some(&wanted) => Some(407),
        _ => state.refusal,
    }
}

/// Copies both ways until both have ended.
fn tunnel(
    mut client: TcpStream,
    mut from_client: BufReader<TcpStream>,
    target: &str,
    state: &Mutex<State>,
) -> io::Result<()> {
    let server = TcpStream::connect(target)?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    lock(state).connections.extend(server.try_clone());
    let mut up = server.try_clone()?;
    let upward = thread::spawn(move || {
        let copied = io::copy(&mut from_client, &mut up);
        let _ = up.shutdown(Shutdown::Write);
        copied
    });
    io::copy(&mut &server, &mut client)?;
    client.shutdown(Shutdown::Write)?;
    let _ = upward.join();
    Ok(())
}
