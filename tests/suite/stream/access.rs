//! How gatecount gets in: by TLS, a user's password, or credentials. A sidecar delivers what it has published itself.

use std::fs;

use super::{fleet::STREAM, load::page};
use crate::support::{
    eventually,
    nats::{Nats, Operator},
    origin::Origin,
    process::{Builder, Sidecar},
    receiver::Receiver,
    site,
    tls::Authority,
};

/// A sidecar that publishes to this server and delivers from it.
fn both(app: &Origin, plausible: &Receiver, url: String) -> Builder {
    Builder::before(app)
        .telling(plausible)
        .set("stream.url", url)
        .set("stream.name", STREAM)
        .set("stream.replicas", 1)
        .set("stream.partitions", 2)
        .set("stream.reorder", "0s")
        .set("stream.deliver", true)
}

/// A page's event goes into the stream and out of it.
#[track_caller]
fn assert_delivers(sidecar: &Sidecar, plausible: &Receiver) {
    let before = plausible.recorded().len();
    assert_eq!(sidecar.client().ask(&page(before)).status(), 200);
    plausible.await_recorded(before + 1);
    let status = sidecar.status();
    assert_eq!(status["stream"]["connected"], true, "{status}");
    let metrics = sidecar.settled(1);
    assert_eq!(
        (metrics.finished("published"), metrics.finished("delivered")),
        (1, 1)
    );
}

/// Its events wait, and it says why.
#[track_caller]
fn assert_is_refused(sidecar: &Sidecar, why: &str) {
    assert_eq!(sidecar.client().ask(&page(0)).status(), 200);
    eventually("it says why", || {
        let status = sidecar.status();
        let trouble = &status["troubles"][0];
        let said = trouble["error"].as_str().unwrap_or_default();
        if trouble["kind"] == "stream_unreachable" && said.contains(why) {
            Ok(())
        } else {
            Err(status.to_string())
        }
    });
    assert_eq!(sidecar.metrics().pending(), 1);
}

#[test]
fn servers_are_believed_by_their_authority_and_believe_a_user_by_the_password() {
    let (ours, other) = (Authority::new(), Authority::new());
    let address = Nats::any_host();
    let pair = ours.pair("nats", &[&address.to_string()]);
    let configuration = format!(
        "authorization {{ user: gate, password: \"p@ss\" }}\ntls {{ cert_file: {:?}, key_file: {:?} }}\n",
        pair.certificate, pair.key
    );
    let Some(nats) = Nats::alone(address, &configuration) else {
        return;
    };
    let (app, plausible) = (site::start(), Receiver::start());
    let file = |authority: &Authority| authority.file().to_str().expect("a path in UTF-8").to_owned();
    let url = |password: &str| format!("tls://gate:{password}@{}", nats.address(0));
    let trusting =
        |authority: &Authority| both(&app, &plausible, url("p%40ss")).set("stream.ca_file", file(authority));

    assert_delivers(&trusting(&ours).start(), &plausible);
    // Beside the system's authorities, not in their place.
    let by_system = trusting(&other).environment("SSL_CERT_FILE", &file(&ours));
    assert_delivers(&by_system.start(), &plausible);
    assert_is_refused(&trusting(&other).start(), "invalid peer certificate");
    let wrong = both(&app, &plausible, url("pass")).set("stream.ca_file", file(&ours));
    assert_is_refused(&wrong.start(), "authorization violation");
}

#[test]
fn credentials_let_in_as_a_server_of_an_operator_wants_them() {
    let operator = Operator::new();
    let Some(nats) = Nats::alone(Nats::any_host(), &operator.configuration) else {
        return;
    };
    let (app, plausible) = (site::start(), Receiver::start());
    let with = |operator: &Operator| {
        let builder = both(&app, &plausible, nats.url());
        let file = builder.directory().join("gatecount.creds");
        fs::write(&file, &operator.credentials).expect("write the credentials");
        let file = file.to_str().expect("a path in UTF-8").to_owned();
        builder.set("stream.credentials", file)
    };
    assert_delivers(&with(&operator).start(), &plausible);
    assert_is_refused(&with(&Operator::new()).start(), "authorization violation");
}
