//! curl and nginx as clients.

use std::{fs, process::Command};

use super::{before, over_http2};
use crate::support::{
    client::{Client, NAVIGATION, Request, curl},
    nginx::{self, Nginx},
    origin::{self, Origin},
    process::{Builder, Sidecar},
    receiver::Receiver,
    site, skip,
    tls::Authority,
};

/// Whether curl can speak HTTP/2.
fn curl_speaks_http2() -> bool {
    let version = Command::new("curl").arg("--version").output();
    version.is_ok_and(|v| String::from_utf8_lossy(&v.stdout).contains("HTTP2"))
}

/// What curl says of itself at the end of each request.
const TOLD: &str = "%{http_code} %{http_version} %{num_connects}\n";

/// curl's output for these arguments, before a sidecar whose certificate is verified.
#[track_caller]
fn over_tls(sidecar: &Sidecar, authority: &Authority, arguments: &[&str]) -> String {
    let (ca, port) = (authority.file(), sidecar.address.port());
    let (ca, resolve) = (ca.to_str().unwrap(), format!("example.com:{port}:127.0.0.1"));
    let fixed = ["--cacert", ca, "--resolve", &resolve, "--write-out", TOLD];
    let output = curl(&[&fixed, arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn curl_uploads_downloads_and_asks_for_heads_over_each_protocol() {
    if !curl_speaks_http2() {
        return skip("curl speaks no HTTP/2");
    }
    let (app, authority) = (site::start(), Authority::new());
    let secure = before(&app, &authority).start();
    let plain = Builder::before(&app).set("listen.http2", true).start();
    let file = authority.path("upload");
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    fs::write(&file, &body).unwrap();
    let ways: [(&Sidecar, &str, &[&str], &str); 5] = [
        (&secure, "https", &["--http1.1"], "1.1"),
        (&secure, "https", &["--http2"], "2"),
        (
            &secure,
            "https",
            &["--http2", "--tlsv1.2", "--tls-max", "1.2"],
            "2",
        ),
        (&plain, "http", &["--http2-prior-knowledge"], "2"),
        (&plain, "http", &["--http1.1"], "1.1"),
    ];
    for (sidecar, scheme, flags, version) in ways {
        let url = |path: &str| format!("{scheme}://example.com:{}{path}", sidecar.address.port());
        let ask = |arguments: &[&str]| over_tls(sidecar, &authority, &[flags, arguments].concat());
        let came = authority.path("download");
        let into = ["--output", came.to_str().unwrap()];

        let upload = format!("@{}", file.display());
        let told = ask(&[
            &into[..],
            &["--header", "Expect:", "--data-binary", &upload, &url("/echo/1")],
        ]
        .concat());
        assert_eq!(told, format!("200 {version} 1\n"), "{flags:?}");
        assert_eq!(fs::read(&came).unwrap(), body, "{flags:?}");

        // Its length is not said beforehand.
        let chunked = [
            "--header",
            "Expect:",
            "--header",
            "Transfer-Encoding: chunked",
            "--request",
            "POST",
            "--upload-file",
        ];
        let told = ask(&[&into[..], &chunked, &[file.to_str().unwrap(), &url("/echo/2")]].concat());
        assert_eq!(told, format!("200 {version} 1\n"), "{flags:?}");
        assert_eq!(fs::read(&came).unwrap(), body, "{flags:?}");

        // Both over one connection. (curl 7.88 can't use one of prior knowledge twice, whoever the server
        // is.)
        let twice = !flags.contains(&"--http2-prior-knowledge");
        let urls = [url("/big/4"), url("/page/3")];
        let heads: Vec<&str> = urls
            .iter()
            .map(String::as_str)
            .take(1 + usize::from(twice))
            .collect();
        let told = ask(&[&["--head"], &heads[..]].concat());
        let codes: Vec<&str> = told.lines().filter(|line| line.starts_with("200 ")).collect();
        let expected = [format!("200 {version} 1"), format!("200 {version} 0")];
        assert_eq!(codes, expected[..heads.len()], "{flags:?}: {told}");
        let length = told.to_ascii_lowercase().contains("content-length: 262144");
        assert!(length, "{told}");
    }
}

#[test]
fn curl_resumes_its_session() {
    let (app, authority) = (site::start(), Authority::new());
    let sidecar = before(&app, &authority).start();
    let port = sidecar.address.port();
    let url = |n| format!("https://example.com:{port}/page/{n}");
    for version in ["1.2", "1.3"] {
        // `Connection: close` makes it connect once more.
        let arguments = [
            "--http1.1",
            "--tls-max",
            version,
            "--header",
            "Connection: close",
            "--output",
            "/dev/null",
        ];
        let told = over_tls(
            &sidecar,
            &authority,
            &[&arguments[..], &[&url(1), "--output", "/dev/null", &url(2)]].concat(),
        );
        assert_eq!(told, "200 1.1 1\n200 1.1 1\n");
    }
    let metrics = sidecar.metrics();
    let count = |result| {
        metrics
            .metric("gatecount_tls_handshakes_total")
            .label("result", result)
            .value()
    };
    assert_eq!((count("full"), count("resumed")), (2, 2));
}

#[test]
fn curl_does_not_trust_another_authority() {
    let (app, authority) = (site::start(), Authority::new());
    let sidecar = before(&app, &authority).start();
    let stranger = Authority::new();
    let ca = stranger.file();
    let url = format!("https://localhost:{}/", sidecar.address.port());
    let output = curl(&["--cacert", ca.to_str().unwrap(), &url]);
    assert_eq!(output.status.code(), Some(60), "{output:?}");
    sidecar.await_metrics("the refusal is counted", |m| {
        m.metric("gatecount_tls_handshakes_total")
            .label("result", "failed")
            .value()
            == 1
    });
    assert!(app.seen().is_empty());
}

/// Before nginx: what it says of the client is taken, for it is trusted.
fn behind_nginx(app: &Origin, plausible: &Receiver, authority: &Authority) -> Builder {
    before(app, authority)
        .telling(plausible)
        .set("client.trusted_proxies", vec!["127.0.0.1"])
}

#[test]
fn nginx_verifies_the_certificate_and_says_who_the_client_is() {
    if !nginx::installed() {
        return skip("nginx is not installed");
    }
    let (app, plausible, authority) = (site::start(), Receiver::start(), Authority::new());
    let sidecar = behind_nginx(&app, &plausible, &authority).start();
    let nginx = Nginx::verifying(sidecar.address, &authority, None);
    let mut client = Client::from("127.0.0.9", nginx.address);
    for n in 0..60 {
        let request = site::request(n);
        let response = client.ask(&request);
        assert_eq!(response.status(), site_status(&request), "{}", request.target());
    }
    let page = Request::get("/page/1000").as_(NAVIGATION);
    client.ask(&page);
    let metrics = sidecar.settled(61);
    let handshakes = metrics.metric("gatecount_tls_handshakes_total");
    assert!(
        (1..=10).contains(&handshakes.value()),
        "nginx keeps its connections: {metrics:?}"
    );
    plausible.assert_strict();
    let events = plausible.recorded();
    let last = events.last().unwrap();
    assert!(
        events.iter().all(|event| event.visitor().0 == "127.0.0.9"),
        "{last:?}"
    );
    // The visitor came to nginx by http, and that is what nginx says.
    assert!(
        events
            .iter()
            .any(|e| e.text("url") == "http://example.com/page/1000"),
        "{last:?}"
    );
    // It shows a stranger's certificate: nginx passes nothing on.
    let stranger = Authority::new();
    let suspicious = Nginx::verifying(sidecar.address, &stranger, None);
    let before = app.seen().len();
    assert_eq!(Client::to(suspicious.address).ask(&page).status(), 502);
    assert_eq!(app.seen().len(), before);
}

/// What the site answers this with.
fn site_status(request: &Request) -> u16 {
    match request.target().split('/').nth(1).unwrap_or_default() {
        "redirect" => 302,
        "missing" => 404,
        "broken" => 500,
        "empty" => 204,
        "unmodified" => 304,
        _ => 200,
    }
}

#[test]
fn nginx_shows_its_certificate_where_one_is_asked_for() {
    if !nginx::installed() {
        return skip("nginx is not installed");
    }
    let (app, plausible, authority) = (site::start(), Receiver::start(), Authority::new());
    let sidecar = behind_nginx(&app, &plausible, &authority)
        .set("listen.tls.client_ca", authority.file().to_str().unwrap())
        .start();
    let page = Request::get("/page/7").as_(NAVIGATION);
    let without = Nginx::verifying(sidecar.address, &authority, None);
    let refused = Client::from("127.0.0.9", without.address).ask(&page).status();
    assert!(refused == 502 || refused == 400, "{refused}");
    assert!(app.seen().is_empty());

    let own = authority.pair("nginx", &["nginx.internal"]);
    let with = Nginx::verifying(sidecar.address, &authority, Some(&own));
    site::compare(&page, &Client::from("127.0.0.9", with.address).ask(&page)).unwrap_or_else(|e| {
        // nginx has a `Server` of its own.
        assert!(e.contains("Server"), "{e}");
    });
    assert_eq!(app.seen().len(), 1);
    let event = plausible.await_recorded(1).remove(0);
    assert_eq!(event.visitor().0, "127.0.0.9");
    sidecar.await_metrics("the refusal is counted", |m| {
        m.metric("gatecount_tls_handshakes_total")
            .label("result", "no_certificate")
            .value()
            >= 1
    });
}

#[test]
fn http2_by_prior_knowledge_is_only_where_it_is_configured() {
    let app = Origin::start(origin::pages);
    let sidecar = Builder::before(&app).start();
    let mut client = sidecar.client();
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status(), app.seen().len()), (505, 0), "{response:?}");
    // Over TLS ALPN offers it in any case.
    let authority = Authority::new();
    let secure = before(&app, &authority).start();
    assert_eq!(
        over_http2(&secure, &authority).ask(&Request::get("/")).status(),
        200
    );
}
