//! TLS, and HTTP/2 where the server offers it.

use std::{
    convert::Infallible,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{account::EventEnd, *};

/// What an HTTPS server has seen.
#[derive(Debug, Default)]
struct Counts {
    connections: AtomicUsize,
    requests: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    heads: std::sync::Mutex<Vec<String>>,
}

/// An HTTPS server that offers these protocols and answers 202 after 20 ms. Its certificate goes into
/// `ca_file`.
fn server(protocols: &[&[u8]], ca_file: &Path) -> (SocketAddr, Arc<Counts>) {
    let counts = Arc::new(Counts::default());
    let seen = counts.clone();
    let address = tls_server(protocols, ca_file, move |stream| serve(stream, seen.clone()));
    (address, counts)
}

/// A TLS server that offers these protocols and serves each connection so. Its certificate goes into
/// `ca_file`.
fn tls_server<F>(
    protocols: &[&[u8]],
    ca_file: &Path,
    serve: impl Fn(TlsStream<TcpStream>) -> F + Send + 'static,
) -> SocketAddr
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(ca_file, certified.cert.pem()).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                // Only connections that came about are served. How one ends is not what is tested.
                if let Ok(stream) = acceptor.accept(stream).await {
                    tokio::spawn(serve(stream));
                }
            }
        });
    });
    address
}

async fn serve(stream: TlsStream<TcpStream>, counts: Arc<Counts>) -> io::Result<()> {
    counts.connections.fetch_add(1, Ordering::SeqCst);
    let http2 = stream.get_ref().1.alpn_protocol() == Some(endpoint::H2);
    let service = service_fn(|request| answer(request, counts.clone()));
    let io = TokioIo::new(stream);
    let served = if http2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(io, service)
            .await
    } else {
        hyper::server::conn::http1::Builder::new()
            .serve_connection(io, service)
            .await
    };
    served.map_err(io::Error::other)
}

async fn answer(
    request: Request<Incoming>,
    counts: Arc<Counts>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let at_once = counts.at_once.fetch_add(1, Ordering::SeqCst) + 1;
    counts.most_at_once.fetch_max(at_once, Ordering::SeqCst);
    let (head, body) = request.into_parts();
    let fields: Vec<&str> = head.headers.keys().map(http::HeaderName::as_str).collect();
    let line = format!(
        "{:?} {} {} {}",
        head.version,
        head.method,
        head.uri,
        fields.join(",")
    );
    counts.heads.lock().unwrap().push(line);
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    assert!(body.starts_with(b"{"));
    tokio::time::sleep(Duration::from_millis(20)).await;
    counts.at_once.fetch_sub(1, Ordering::SeqCst);
    counts.requests.fetch_add(1, Ordering::SeqCst);
    Ok(Response::builder()
        .status(202)
        .body(Full::new(Bytes::from_static(b"ok")))
        .unwrap())
}

fn https(address: SocketAddr, ca_file: Option<&Path>) -> Settings {
    let mut settings = settings(address);
    settings.base.https = true;
    settings.ca_file = ca_file.map(Path::to_owned);
    settings
}

#[test]
fn one_http2_connection_carries_all_requests_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    let (address, counts) = server(&[endpoint::H2, b"http/1.1"], &ca_file);
    let mut rig = Rig::new(https(address, Some(&ca_file)));
    for visitor in 0..160 {
        rig.offer(visitor, "/a");
    }
    rig.settle();
    assert_eq!(rig.finished(EventEnd::Delivered), 160);
    assert_eq!(counts.requests.load(Ordering::SeqCst), 160);
    assert_eq!(counts.connections.load(Ordering::SeqCst), 1);
    assert_eq!(counts.most_at_once.load(Ordering::SeqCst), 16);
    let expected = format!(
        "HTTP/2.0 POST https://{address}/api/event user-agent,x-forwarded-for,content-type,content-length"
    );
    assert_eq!(counts.heads.lock().unwrap()[0], expected);
}

#[test]
fn without_http2_each_sender_has_its_connection() {
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    let (address, counts) = server(&[b"http/1.1"], &ca_file);
    let mut rig = Rig::new(https(address, Some(&ca_file)));
    for visitor in 0..160 {
        rig.offer(visitor, "/a");
    }
    rig.settle();
    assert_eq!(rig.finished(EventEnd::Delivered), 160);
    let connections = counts.connections.load(Ordering::SeqCst);
    assert!((2..=16).contains(&connections), "{connections}");
    assert!(counts.heads.lock().unwrap()[0].starts_with("HTTP/1.1 POST /api/event "));
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    let (address, counts) = server(&[b"http/1.1"], &ca_file);
    let mut rig = Rig::new(https(address, None));
    rig.offer(1, "/a");
    rig.wait_for("a failure", |rig| rig.attempts("connect") > 1);
    assert_eq!(rig.balance().pending, 1);
    assert_eq!(counts.requests.load(Ordering::SeqCst), 0);
    let error = rig.delivery.status().delivery.last_error.unwrap();
    assert!(error.contains("certificate"), "{error}");
}

/// A response's head on this stream in HTTP/2's bytes: 202 and a content length of 1, and the stream goes on.
fn http2_head(stream: u8) -> Vec<u8> {
    // HEADERS with END_HEADERS; `:status` is number 8 of the static table, `content-length` number 28 (RFC
    // 7541).
    let frame = [0, 0, 9, 1, 4, 0, 0, 0, stream];
    [&frame[..], b"\x48\x03202", b"\x0f\x0d\x011"].concat()
}

/// Frames for a stream.
type Frames = fn(u8) -> Vec<u8>;

/// Answers each HTTP/2 request with that head and, in the same write, these frames. Counts the requests.
fn server_with_frames_after_the_head(ca_file: &Path, frames: Frames) -> (SocketAddr, Arc<AtomicUsize>) {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    let address = tls_server(&[endpoint::H2], ca_file, move |mut connection| {
        let counted = counted.clone();
        async move {
            connection.read_exact(&mut [0; PREFACE.len()]).await?;
            connection.write_all(&SETTINGS).await?;
            loop {
                let mut frame = [0; 9];
                connection.read_exact(&mut frame).await?;
                let [l0, l1, l2, kind, flags, _, _, _, stream] = frame;
                let mut payload = vec![0; u32::from_be_bytes([0, l0, l1, l2]) as usize];
                connection.read_exact(&mut payload).await?;
                // DATA with END_STREAM: the request is complete.
                if kind == 0 && flags & 1 == 1 {
                    counted.fetch_add(1, Ordering::SeqCst);
                    let answer = [http2_head(stream), frames(stream)].concat();
                    connection.write_all(&answer).await?;
                }
            }
        }
    });
    (address, requests)
}

#[test]
fn a_head_that_arrived_counts_though_what_follows_breaks_the_protocol() {
    let cases: [(&str, Frames); 7] = [
        ("DATA on stream 0", |_| vec![0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("an empty WINDOW_UPDATE", |_| {
            vec![0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }),
        ("RST_STREAM", |stream| {
            vec![0, 0, 4, 3, 0, 0, 0, 0, stream, 0, 0, 0, 1]
        }),
        ("GOAWAY", |_| {
            vec![0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
        }),
        ("a second head", http2_head),
        ("more DATA than announced", |stream| {
            vec![0, 0, 3, 0, 1, 0, 0, 0, stream, b'a', b'b', b'c']
        }),
        ("no header block", |stream| {
            vec![0, 0, 1, 1, 5, 0, 0, 0, stream, 0x80]
        }),
    ];
    for (what, frames) in cases {
        let directory = tempfile::tempdir().unwrap();
        let ca_file = directory.path().join("ca.pem");
        let (address, requests) = server_with_frames_after_the_head(&ca_file, frames);
        let mut settings = https(address, Some(&ca_file));
        settings.timeout = Duration::from_millis(500);
        let mut rig = Rig::new(settings);
        for _ in 0..3 {
            rig.offer(1, "/a");
        }
        rig.settle();
        assert_eq!(rig.finished(EventEnd::Delivered), 3, "{what}");
        assert_eq!(requests.load(Ordering::SeqCst), 3, "{what}: sent again");
    }
}

#[test]
fn a_ca_file_that_is_none_fails_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.pem");
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "no certificate\n").unwrap();
    let address = "127.0.0.1:1".parse().unwrap();
    for (path, expected) in [(missing, "cannot be read"), (empty, "has no certificate")] {
        let settings = https(address, Some(&path));
        let error = start(
            settings,
            in_memory(),
            EventRules::default(),
            1,
            DeliveryLinks {
                registry: &Registry::new(),
                decisions: Arc::new(Decided::default()),
                troubles: Troubles::default(),
                role: Role::default(),
            },
        )
        .unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
