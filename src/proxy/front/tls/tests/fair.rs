//! Many handshakes at once leave others their turn.

use std::{cell::Cell, rc::Rc};

use tokio::{io::AsyncWriteExt, task::LocalSet};

use super::*;

/// A connection that is open answers while hundreds of handshakes wait: between two of its answers at most a
/// few of them finish.
#[tokio::test]
async fn a_flood_of_handshakes_holds_up_nobody() {
    const FLOOD: usize = 300;
    let authority = Authority::new();
    let loaded = authority.serve();
    let (mut server, mut client) = meet(&loaded, authority.client(&[&TLS13])).await;
    // Each with its ClientHello in the socket: all are ready at once.
    let mut sockets = Vec::new();
    for _ in 0..FLOOD {
        let (ours, theirs) = socket_pair();
        send_all(&theirs, &Bare::new(authority.client(&[&TLS13])).flight()).await;
        sockets.push((ours, theirs));
    }
    LocalSet::new()
        .run_until(async move {
            let turns = Rc::new(Turns::new());
            let mut theirs = Vec::new();
            for (ours, client) in sockets {
                let (turns, config) = (Rc::clone(&turns), Arc::clone(&loaded.config));
                tokio::task::spawn_local(async move { accept(ours, &[], config, &turns).await });
                theirs.push(client);
            }
            tokio::task::spawn_local(async move {
                let mut into = [0; 16];
                while let Ok(n @ 1..) = read(&mut server, &mut into).await {
                    write(&mut server, &[&into[..n]]).await;
                }
            });
            let mut answered = 0;
            let mut most = 0;
            while answered < FLOOD {
                client.write_all(b"?").await.unwrap();
                tokio::io::AsyncReadExt::read_exact(&mut client, &mut [0])
                    .await
                    .unwrap();
                let now = theirs.iter().filter(|c| has_bytes(c)).count();
                most = most.max(now - answered);
                answered = now;
            }
            assert!(most <= 16, "{most} handshakes between a question and its answer");
        })
        .await;
}

/// Whether the server's flight is there.
fn has_bytes(socket: &UnixStream) -> bool {
    let socket = socket2::SockRef::from(socket);
    let mut one = [std::mem::MaybeUninit::uninit()];
    socket.peek(&mut one).is_ok()
}

#[tokio::test]
async fn steps_take_turns_with_everybody_else() {
    let turns = Rc::new(Turns::new());
    let done = Rc::new(Cell::new(0));
    LocalSet::new()
        .run_until(async {
            for _ in 0..100 {
                let (turns, done) = (Rc::clone(&turns), Rc::clone(&done));
                tokio::task::spawn_local(async move { turns.step(|| done.set(done.get() + 1)).await });
            }
            let mut before = 0;
            while done.get() < 100 {
                tokio::task::yield_now().await;
                assert!(
                    done.get() - before <= 8,
                    "{} steps in one turn",
                    done.get() - before
                );
                before = done.get();
            }
        })
        .await;
}

/// A client that gives up in its turn takes nobody's.
#[tokio::test]
async fn a_turn_that_is_given_up_is_free() {
    let turns = Turns::new();
    for _ in 0..20 {
        let mut step = Box::pin(turns.step(|| ()));
        let first = poll_fn(|cx| std::task::Poll::Ready(step.as_mut().poll(cx).is_pending())).await;
        assert!(first);
    }
    turns.step(|| ()).await;
}
