//! What becomes of bodies: every coding, streams, damage.

use std::io::Write;

use http_body_util::BodyExt;

use super::{CODINGS, PAGE, WAYS, Way, answer, before, decode, encode, over_http2, sent, visit, with_script};
use crate::support::{
    client::Request,
    http2::{self, Upload},
    message::Response,
    origin::{self, Origin, Then},
    process::Sidecar,
    receiver::Receiver,
};

#[test]
fn a_page_gets_the_script_in_every_coding_over_both_protocols_and_is_counted() {
    let app = Origin::start(|visit| {
        let coding = visit.head.target().trim_start_matches('/').to_owned();
        let lines = format!("content-encoding: {coding}\r\nx-kept: 1\r\n");
        visit.send(answer(&lines, &encode(&coding, sent(PAGE).as_bytes())))?;
        Ok(Then::Keep)
    });
    let plausible = Receiver::start();
    let sidecar = before(&app)
        .telling(&plausible)
        .set("pages.count", "always")
        .start();
    for coding in CODINGS {
        for way in WAYS {
            let response = way.ask(&sidecar, &visit(&format!("/{coding}")));
            let what = format!("{coding} over {way:?}: {:?}", response.head);
            assert_eq!(response.head.get("content-encoding"), Some(coding), "{what}");
            assert_eq!(response.head.get("content-length"), None, "{what}");
            assert_eq!(response.head.get("x-kept"), Some("1"), "{what}");
            let text = String::from_utf8(decode(coding, &response.body)).unwrap();
            assert_eq!(text, with_script(PAGE), "{what}");
            assert!(response.complete, "{what}");
        }
    }
    sidecar.settled(10);
    assert_eq!(plausible.recorded().len(), 10);
}

/// A page of 300 KB in chunks, pieces and flushes of many sizes.
#[test]
fn a_long_page_in_chunks_arrives_whole() {
    let long = PAGE.replace("Hello", &"<p>Some words of a long page.</p>\n".repeat(9000));
    let page = sent(&long);
    let app = Origin::start(move |visit| {
        let coding = visit.head.target().trim_start_matches('/').to_owned();
        visit.send(format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-encoding: {coding}\r\n\
             transfer-encoding: chunked\r\n\r\n"
        ))?;
        let body = encode(&coding, page.as_bytes());
        for (n, piece) in body.chunks(701).enumerate() {
            let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
            chunk.extend_from_slice(piece);
            chunk.extend_from_slice(b"\r\n");
            let (start, end) = chunk.split_at(n % chunk.len());
            visit.send(start)?;
            visit.send(end)?;
        }
        visit.send("0\r\nserver-timing: app;dur=1\r\nrepr-digest: x\r\netag: \"t\"\r\n\r\n")?;
        Ok(Then::Keep)
    });
    let sidecar = before(&app).start();
    for coding in CODINGS {
        for way in WAYS {
            let response = way.ask(&sidecar, &visit(&format!("/{coding}")).with("te", "trailers"));
            let text = decode(coding, &response.body);
            assert!(text == with_script(&long).as_bytes(), "{coding} over {way:?}");
            let timing = ("server-timing".to_owned(), "app;dur=1".to_owned());
            assert_eq!(
                response.trailers,
                [timing],
                "what speaks of the app's bytes is gone"
            );
        }
    }
    // Over HTTP/1.1 all of them went over one connection to the app, which stays in order.
    assert!(app.connections() <= 4, "{}", app.connections());
}

#[test]
fn a_body_that_ends_with_its_connection_is_finished() {
    for coding in ["identity", "gzip"] {
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-encoding: {coding}\r\n\r\n");
        // Without the end of the head: what is held goes on at the end.
        let page = "<html><head>▼<title>x</title>";
        let said = [head.as_bytes(), &encode(coding, sent(page).as_bytes())].concat();
        let app = Origin::start(origin::says(said));
        let sidecar = before(&app).start();
        for way in WAYS {
            let response = way.ask(&sidecar, &visit("/"));
            let text = String::from_utf8(decode(coding, &response.body)).unwrap();
            assert_eq!(text, with_script(page), "{coding} over {way:?}");
            assert!(response.complete);
        }
        let mut client = sidecar.client();
        let old = visit("/").bytes();
        let old = String::from_utf8(old)
            .unwrap()
            .replacen("HTTP/1.1", "HTTP/1.0", 1);
        client.send(old.as_bytes());
        let response = client.response();
        assert_eq!(response.head.get("connection"), Some("close"));
        let text = String::from_utf8(decode(coding, &response.body)).unwrap();
        assert_eq!(text, with_script(page), "{coding} over HTTP/1.0");
    }
}

/// Reads the response to a visit until what has come of its body holds this text.
fn read_until(way: Way, sidecar: &Sidecar, coding: &str, text: &str) -> Box<dyn FnOnce() -> Vec<u8>> {
    let holds = |coded: &[u8]| String::from_utf8_lossy(&decode(coding, coded)).contains(text);
    match way {
        Way::Http1 => {
            let mut client = sidecar.client();
            client.send(&visit("/").bytes());
            assert_eq!(client.head().get("transfer-encoding"), Some("chunked"));
            let mut wire = client.into_wire();
            let (mut all, mut body) = (Vec::new(), Vec::new());
            while !holds(&body) {
                let some = wire.some().expect("more of the page");
                assert!(!some.is_empty(), "the page ended");
                all.extend_from_slice(&some);
                body = dechunk(&all);
            }
            Box::new(move || {
                while !all.ends_with(b"0\r\n\r\n") {
                    all.extend(wire.some().expect("the rest of the page"));
                }
                dechunk(&all)
            })
        }
        Way::Http2 => {
            let client = over_http2(sidecar);
            let request = client.request(&visit("/"), Upload::none());
            let mut sender = client.sender();
            let mut response = http2::wait_for(async move {
                sender.ready().await.unwrap();
                sender.send_request(request).await.unwrap()
            });
            let mut body = Vec::new();
            while !holds(&body) {
                let frame = http2::wait_for(async { response.body_mut().frame().await });
                body.extend(frame.expect("more of the page").unwrap().into_data().unwrap());
            }
            Box::new(move || {
                let rest: Response = http2::wait_for(http2::read(response));
                drop(client);
                [body, rest.body].concat()
            })
        }
    }
}

/// The data of those chunks that have come whole.
fn dechunk(bytes: &[u8]) -> Vec<u8> {
    let (mut rest, mut data) = (bytes, Vec::new());
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let Some(chunk) = rest.get(end + 2..end + 2 + size) else {
            break;
        };
        data.extend_from_slice(chunk);
        rest = rest.get(end + 4 + size..).unwrap_or_default();
    }
    data
}

#[test]
fn a_streamed_page_stays_streamed() {
    let page = "<html><head>▼<title>x</title></head><body><p>first</p>";
    for coding in ["identity", "gzip"] {
        for way in WAYS {
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-encoding: {coding}\r\nconnection: close\r\n\r\n"
            );
            let (send, manner) = origin::on_command(&head);
            let app = Origin::start(manner);
            let sidecar = before(&app).start();
            let mut coded = Coder::new(coding);
            // The app goes on only when the visitor has the first part.
            send.send(coded.piece(&sent(page))).unwrap();
            let rest = read_until(way, &sidecar, coding, "<p>first</p>");
            send.send(coded.piece("<p>second</p>")).unwrap();
            send.send(coded.end()).unwrap();
            drop(send);
            let text = String::from_utf8(decode(coding, &rest())).unwrap();
            assert_eq!(
                text,
                format!("{}<p>second</p>", with_script(page)),
                "{coding} over {way:?}"
            );
        }
    }
}

/// An app's coder that flushes.
enum Coder {
    Identity,
    Gzip(Box<flate2::write::GzEncoder<Vec<u8>>>),
}

impl Coder {
    fn new(coding: &str) -> Coder {
        match coding {
            "gzip" => Coder::Gzip(Box::new(flate2::write::GzEncoder::new(
                Vec::new(),
                flate2::Compression::fast(),
            ))),
            _ => Coder::Identity,
        }
    }

    fn piece(&mut self, text: &str) -> Vec<u8> {
        match self {
            Coder::Identity => text.as_bytes().to_vec(),
            Coder::Gzip(encoder) => {
                encoder.write_all(text.as_bytes()).unwrap();
                encoder.flush().unwrap();
                std::mem::take(encoder.get_mut())
            }
        }
    }

    fn end(self) -> Vec<u8> {
        match self {
            Coder::Identity => Vec::new(),
            Coder::Gzip(encoder) => encoder.finish().unwrap(),
        }
    }
}

/// Letters that do not become much shorter.
fn noise(length: usize) -> String {
    (0..length as u64)
        .map(|n| char::from(b'a' + (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 59) as u8 % 26))
        .collect()
}

#[test]
fn of_a_damaged_page_what_is_sound_arrives_and_the_rest_is_cut() {
    let page = PAGE.replace("Hello", &noise(60_000));
    let coded = encode("gzip", sent(&page).as_bytes());
    let half = coded.len() / 2;
    // Among so many bytes there is a code or a checksum that can't be.
    let rubbish: Vec<u8> = noise(100_000)
        .bytes()
        .map(|letter| letter.wrapping_mul(89))
        .collect();
    let late = [&coded[..half], &rubbish].concat();
    let early = [&b"no gzip"[..], &coded[7..]].concat();
    for way in WAYS {
        for (what, body) in [("late", &late), ("early", &early)] {
            let app = Origin::start(origin::says_and_stays(answer("content-encoding: gzip\r\n", body)));
            let sidecar = before(&app).start();
            let response = match way {
                Way::Http1 => way.ask(&sidecar, &visit("/")),
                Way::Http2 => match over_http2(&sidecar).try_ask(&visit("/"), Upload::none()) {
                    Ok(response) => response,
                    // The reset overtook what came before it.
                    Err(http2::Failure::Broken(_)) if what == "late" => continue,
                    Err(failure) => panic!("{what}: {failure:?}"),
                },
            };
            if what == "early" {
                assert!(response.body == *body && response.complete, "over {way:?}");
                continue;
            }
            assert!(!response.complete, "over {way:?}: it looks complete");
            let text = decode("gzip", &response.body);
            let right = with_script(&page);
            let common = text
                .iter()
                .zip(right.as_bytes())
                .take_while(|(a, b)| a == b)
                .count();
            assert!(common > 10_000, "over {way:?}: {common} bytes of {}", text.len());
            sidecar.await_metrics("the fault", |metrics| {
                let errors = metrics.metric("gatecount_app_errors_total");
                errors.label("reason", "malformed").value() == 1
            });
            sidecar.await_log("the app's page can't be passed on");
            // Nobody else is harmed.
            assert_eq!(way.ask(&sidecar, &Request::get("/")).status(), 200);
        }
    }
}
