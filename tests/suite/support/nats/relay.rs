//! A server that is further away: each byte takes a while to it and back.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// A way to a server that takes time. It is there for as long as the test's process.
pub(crate) struct Relay {
    /// Where clients connect.
    pub(crate) address: SocketAddr,
}

impl Relay {
    /// Carries what comes to that server, and back, so long after it came.
    pub(crate) fn to(server: SocketAddr, delay: Duration) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind a port");
        let address = listener.local_addr().expect("the bound address");
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(server) else {
                    continue;
                };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone(), to.try_clone());
                    carry(from.expect("another handle"), to.expect("another handle"), delay);
                }
            }
        });
        Relay { address }
    }
}

/// Carries one direction, on two threads: one takes the bytes as they come, the other gives them when they are due.
fn carry(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (send, due) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = [0; 8 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let piece = buffer[..length].to_vec();
            if send.send((Instant::now() + delay, piece)).is_err() {
                return;
            }
        }
    });
    thread::spawn(move || {
        for (at, piece) in due {
            // The distance itself, not a wait for anything.
            thread::sleep(at.saturating_duration_since(Instant::now()));
            if to.write_all(&piece).is_err() {
                break;
            }
        }
        // The other side may have gone.
        let _ = to.shutdown(Shutdown::Both);
    });
}
