//! openssl and curl as clients, where they are installed.

use std::{
    net::SocketAddr,
    process::{Command, Output, Stdio},
    sync::mpsc,
};

use tokio::{net::TcpListener, task::LocalSet};

use super::*;

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n";

/// Answers each request for `a.example` with [`RESPONSE`], for as long as the test's process lives.
fn serve(loaded: Loaded) -> SocketAddr {
    let (tell, address) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let config = Arc::clone(&loaded.config);
                tokio::task::spawn_local(async move {
                    let Ok(mut stream) = accept(Stream::Tcp(stream), &[], config, &Turns::new()).await else {
                        return;
                    };
                    let mut request = Vec::new();
                    let mut into = [0; 4096];
                    while let Ok(n @ 1..) = read(&mut stream, &mut into).await {
                        request.extend_from_slice(&into[..n]);
                        if request.ends_with(b"\r\n\r\n") {
                            write(&mut stream, &[RESPONSE]).await;
                            request.clear();
                        }
                    }
                    stream.shutdown().await;
                });
            }
        });
    });
    address.recv().unwrap()
}

/// Runs a tool; nothing where it is not installed.
fn run(tool: &str, arguments: &[&str]) -> Option<Output> {
    let output = Command::new(tool).args(arguments).stdin(Stdio::null()).output();
    if output.is_err() {
        eprintln!("{tool} is not installed");
    }
    output.ok()
}

/// What `openssl s_client` prints when it is given this input, and its end half a second later.
fn s_client(address: SocketAddr, authority: &Authority, arguments: &str, input: &str) -> Option<String> {
    run("openssl", &["version"])?;
    let script = format!(
        "(printf '{input}'; sleep 0.5) | openssl s_client -connect {address} -CAfile {} -verify_return_error \
         -servername a.example {arguments} 2>&1",
        authority.path("ca").display()
    );
    let output = run("sh", &["-c", &script])?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn openssl_speaks_both_versions_and_resumes() {
    const REQUEST: &str = "GET / HTTP/1.1\\r\\n\\r\\n";
    let authority = Authority::new();
    let address = serve(authority.serve());
    for (flag, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let session = authority.path(flag).display().to_string();
        let ask = |more: &str| {
            let arguments = format!("{flag} -alpn h2,http/1.1 {more} {session}");
            s_client(address, &authority, &arguments, REQUEST)
        };
        let Some(first) = ask("-sess_out") else {
            return;
        };
        assert!(first.contains(&format!("New, {version}")), "{first}");
        assert!(first.contains("ALPN protocol: h2"), "{first}");
        assert!(first.contains("Verify return code: 0 (ok)"), "{first}");
        assert!(first.contains("hello"), "{first}");
        let second = ask("-sess_in").unwrap();
        assert!(second.contains(&format!("Reused, {version}")), "{second}");
        assert!(second.contains("hello"), "{second}");
    }
}

#[test]
fn openssl_updates_keys_and_cannot_renegotiate() {
    let authority = Authority::new();
    let address = serve(authority.serve());
    // A line `K` asks both sides for new keys, a line `R` for another handshake.
    let Some(told) = s_client(address, &authority, "-tls1_3", "K\\nGET / HTTP/1.1\\r\\n\\r\\n") else {
        return;
    };
    assert!(told.contains("KEYUPDATE") && told.contains("hello"), "{told}");
    let told = s_client(address, &authority, "-tls1_2", "R\\n").unwrap();
    assert!(
        told.contains("RENEGOTIATING") && told.contains("no renegotiation"),
        "{told}"
    );
}

#[test]
fn curl_gets_the_response_over_both_versions() {
    let authority = Authority::new();
    let address = serve(authority.serve());
    let (ca, port) = (authority.path("ca").display().to_string(), address.port());
    let url = format!("https://a.example:{port}/");
    let resolve = format!("a.example:{port}:127.0.0.1");
    for version in [&["--tlsv1.2", "--tls-max", "1.2"][..], &["--tlsv1.3"]] {
        let fixed = [
            "-sS",
            "--http1.1",
            "--cacert",
            &ca,
            "--resolve",
            &resolve,
            &url,
            &url,
            "-w",
            "%{num_connects} ",
        ];
        let Some(output) = run("curl", &[version, &fixed].concat()) else {
            return;
        };
        let told = String::from_utf8_lossy(&output.stdout);
        assert_eq!(told, "hello\n1 hello\n0 ", "{output:?}");
    }
}
