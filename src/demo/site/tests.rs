//! The shop over real sockets.

use std::net::SocketAddr;

use super::*;
use crate::web::test_client::{body, get, send};

fn links() -> DemoLinks {
    DemoLinks {
        site: "http://127.0.0.1:1/".to_owned(),
        receiver: "http://127.0.0.1:2/".to_owned(),
        live: "http://127.0.0.1:3/".to_owned(),
    }
}

#[tokio::test]
async fn every_page_links_to_the_receiver_and_the_live_page() {
    let site = site().await;
    for path in ["/", "/books", "/search?q=sea", "/books/gone", "/newsletter"] {
        let page = get(site, path).await;
        for link in [links().receiver, links().live] {
            assert!(
                page.contains(&format!("href=\"{link}\"")),
                "{path} has no link to {link}"
            );
        }
        assert!(!page.contains("{{"), "{page}");
    }
}

async fn site() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, links(), std::future::pending()));
    address
}

/// The local targets of a page's links and images, and of its form.
fn targets(html: &str) -> Vec<&str> {
    ["href=\"/", "src=\"/", "action=\"/"]
        .iter()
        .flat_map(|start| html.match_indices(start).map(|(i, s)| i + s.len() - 1))
        .filter_map(|i| html[i..].split('"').next())
        .collect()
}

#[tokio::test]
async fn every_link_and_image_leads_somewhere_but_the_one_that_must_not() {
    let site = site().await;
    let mut known = vec!["/".to_owned()];
    let mut next = 0;
    while let Some(path) = known.get(next).cloned() {
        next += 1;
        let answer = get(site, &path).await;
        let status = &answer[9..12];
        let wanted = match path.as_str() {
            "/books/gone" => "404",
            "/old-shop" => "301",
            _ => "200",
        };
        assert_eq!(status, wanted, "{path}");
        for target in targets(body(&answer)) {
            if !known.iter().any(|k| k == target) {
                known.push(target.to_owned());
            }
        }
    }
    assert!(known.len() > 18, "{known:?}");
    for (path, _, _) in FILES {
        let pages_use = known.iter().any(|k| k == path);
        assert!(pages_use, "{path} is on no page");
    }
}

#[tokio::test]
async fn a_page_has_a_validator_and_is_not_sent_twice() {
    let site = site().await;
    let answer = get(site, "/books").await;
    assert!(
        answer.contains("content-type: text/html; charset=utf-8\r\n"),
        "{answer}"
    );
    let tag = answer.lines().find_map(|l| l.strip_prefix("etag: ")).unwrap();
    for (header, status) in [
        (tag, "304"),
        (&format!("W/{tag}, \"x\""), "304"),
        ("\"x\"", "200"),
    ] {
        let answer = send(
            site,
            &format!("GET /books HTTP/1.1\r\nIf-None-Match: {header}"),
            b"",
        )
        .await;
        assert_eq!(&answer[9..12], status, "{header}");
        assert!(answer.contains(&format!("etag: {tag}\r\n")), "{answer}");
    }
}

#[tokio::test]
async fn the_form_leads_to_the_thanks() {
    let site = site().await;
    let post = "POST /newsletter HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded";
    let answer = send(site, post, b"email=me%40example.com").await;
    assert!(
        answer.starts_with("HTTP/1.1 303 ") && answer.contains("location: /thanks\r\n"),
        "{answer}"
    );
    assert!(send(site, post, b"email=me").await.starts_with("HTTP/1.1 422 "));
    assert!(
        send(site, post, &vec![b'x'; MAX_FORM + 1])
            .await
            .starts_with("HTTP/1.1 413 ")
    );
    assert!(
        send(site, "PUT /newsletter HTTP/1.1", b"")
            .await
            .contains("allow: GET, HEAD, POST\r\n")
    );
}

#[tokio::test]
async fn the_catalogue_is_a_download() {
    let answer = get(site().await, "/catalogue.pdf").await;
    assert!(answer.contains("content-disposition: attachment;"), "{answer}");
    assert!(body(&answer).starts_with("%PDF-"), "{answer}");
}

#[tokio::test]
async fn what_is_searched_for_is_shown_as_text() {
    let site = site().await;
    let answer = get(site, "/search?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E").await;
    assert!(!body(&answer).contains("<script>alert"), "{answer}");
    assert!(answer.contains("&quot;&gt;&lt;script&gt;alert(1)"), "{answer}");
    assert!(get(site, "/search?q=night+ferry").await.contains("1 of 3 books"));
}
