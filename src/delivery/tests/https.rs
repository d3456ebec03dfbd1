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
use tokio_rustls::TlsAcceptor;

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

/// An HTTPS server that offers these protocols and answers 202 after 20 ms. Its certificate goes into `ca_file`.
fn server(protocols: &[&[u8]], ca_file: &Path) -> (SocketAddr, Arc<Counts>) {
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
    let counts = Arc::new(Counts::default());
    let seen = counts.clone();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(accept(listener, TlsAcceptor::from(Arc::new(config)), seen));
    });
    (address, counts)
}

async fn accept(listener: std::net::TcpListener, acceptor: TlsAcceptor, counts: Arc<Counts>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, counts) = (acceptor.clone(), counts.clone());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            counts.connections.fetch_add(1, Ordering::SeqCst);
            let http2 = stream.get_ref().1.alpn_protocol() == Some(endpoint::H2);
            let service = service_fn(|request| answer(request, counts.clone()));
            let io = TokioIo::new(stream);
            // How a connection ends is not what is tested.
            let _ = if http2 {
                hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(io, service)
                    .await
            } else {
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(io, service)
                    .await
            };
        });
    }
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

#[test]
fn a_ca_file_that_is_none_fails_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.pem");
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "no certificate\n").unwrap();
    let address = "127.0.0.1:1".parse().unwrap();
    for (path, expected) in [(missing, "cannot be read"), (empty, "has no certificate")] {
        let settings = https(address, Some(&path));
        let error = start(settings, in_memory(), Rules::default(), 1, &Registry::new()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
