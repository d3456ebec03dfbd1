//! A small bookshop: pages with links and images, a search, a form, a download, a redirect and a broken link.
//!
//! It knows nothing of gatecount. Its pages are counted because of the requests of browsers and its
//! responses.

mod pages;
#[cfg(test)]
mod tests;

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION};
use http_body_util::{BodyExt, Limited};
use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use tokio::{net::TcpListener, time::timeout};

use super::DemoLinks;
use crate::web::{
    response::ResponseBody,
    server::{self, Limits},
};

/// Longer forms are refused, in bytes.
const MAX_FORM: usize = 16 * 1024;
/// How long a form may take to arrive.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);

/// Files by path: type and content.
const FILES: [(&str, &str, &[u8]); 8] = [
    ("/files/site.css", "text/css", include_bytes!("assets/site.css")),
    (
        "/files/stock.js",
        "text/javascript",
        include_bytes!("assets/stock.js"),
    ),
    (
        "/files/icon.svg",
        "image/svg+xml",
        include_bytes!("assets/icon.svg"),
    ),
    (
        "/files/harbour.png",
        "image/png",
        include_bytes!("assets/harbour.png"),
    ),
    (
        "/files/lighthouse.svg",
        "image/svg+xml",
        include_bytes!("assets/lighthouse.svg"),
    ),
    (
        "/files/salt.svg",
        "image/svg+xml",
        include_bytes!("assets/salt.svg"),
    ),
    (
        "/files/ferry.svg",
        "image/svg+xml",
        include_bytes!("assets/ferry.svg"),
    ),
    (
        "/catalogue.pdf",
        "application/pdf",
        include_bytes!("assets/catalogue.pdf"),
    ),
];

/// Serves the site until `shutdown` is ready. Its pages link to the demo's other ones.
pub async fn serve(listener: TcpListener, links: DemoLinks, shutdown: impl Future<Output = ()>) {
    let links = Arc::new(links);
    let handler = move |request, _| {
        let links = Arc::clone(&links);
        async move { respond(&links, request).await }
    };
    server::serve(listener, Limits::FEW, handler, shutdown).await;
}

async fn respond(links: &DemoLinks, request: Request<Incoming>) -> Response<ResponseBody> {
    let path = request.uri().path();
    match (request.method(), path) {
        (&Method::POST, "/newsletter") => subscribe(links, request).await,
        (&Method::GET | &Method::HEAD, _) => read(links, &request),
        (_, "/newsletter") => method_not_allowed("GET, HEAD, POST"),
        _ => method_not_allowed("GET, HEAD"),
    }
}

fn read(links: &DemoLinks, request: &Request<Incoming>) -> Response<ResponseBody> {
    let path = request.uri().path();
    if let Some((_, kind, content)) = FILES.iter().find(|(p, _, _)| *p == path) {
        return file(path, kind, content);
    }
    match path {
        "/old-shop" => redirect(StatusCode::MOVED_PERMANENTLY, "/books"),
        "/api/stock.json" => whole(StatusCode::OK, "application/json", pages::stock()),
        _ => match pages::find(path, request.uri().query().unwrap_or("")) {
            Some(html) => page(request, linked(links, &html)),
            None => whole(StatusCode::NOT_FOUND, HTML, linked(links, &pages::not_found())),
        },
    }
}

const HTML: &str = "text/html; charset=utf-8";

/// A page with the addresses of the demo's other pages.
fn linked(links: &DemoLinks, html: &str) -> String {
    html.replace("{{receiver}}", &links.receiver)
        .replace("{{live}}", &links.live)
}

/// A page with its validator (RFC 9110 §8.8.3): a browser that has it asks again and is told 304.
fn page(request: &Request<Incoming>, html: String) -> Response<ResponseBody> {
    let mut hasher = DefaultHasher::new();
    html.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    let held = request.headers().get_all(IF_NONE_MATCH).iter().any(|line| {
        line.to_str()
            .is_ok_and(|l| l.split(',').any(|t| t.trim().trim_start_matches("W/") == tag))
    });
    let mut response = if held {
        let mut response = Response::new(ResponseBody::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        whole(StatusCode::OK, HTML, html)
    };
    let headers = response.headers_mut();
    headers.insert(
        ETAG,
        tag.parse()
            .expect("hexadecimal digits in quotes are a valid value"),
    );
    headers.insert(CACHE_CONTROL, http::HeaderValue::from_static("no-cache"));
    response
}

fn file(path: &str, kind: &'static str, content: &'static [u8]) -> Response<ResponseBody> {
    let mut response = whole(StatusCode::OK, kind, content);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, http::HeaderValue::from_static("max-age=3600"));
    if path == "/catalogue.pdf" {
        let name = http::HeaderValue::from_static("attachment; filename=\"harbour-books.pdf\"");
        headers.insert(CONTENT_DISPOSITION, name);
    }
    response
}

/// Takes the newsletter's form, stores nothing, and redirects to the thanks.
async fn subscribe(links: &DemoLinks, request: Request<Incoming>) -> Response<ResponseBody> {
    let form = timeout(
        FORM_TIMEOUT,
        Limited::new(request.into_body(), MAX_FORM).collect(),
    )
    .await;
    let Ok(Ok(form)) = form else {
        return whole(
            StatusCode::PAYLOAD_TOO_LARGE,
            HTML,
            linked(links, &pages::too_much()),
        );
    };
    if has_address(&form.to_bytes()) {
        redirect(StatusCode::SEE_OTHER, "/thanks")
    } else {
        let html = linked(links, &pages::newsletter_again());
        whole(StatusCode::UNPROCESSABLE_ENTITY, HTML, html)
    }
}

/// Whether the form's `email` could be an address.
fn has_address(form: &[u8]) -> bool {
    form.split(|b| *b == b'&')
        .filter_map(|pair| pair.strip_prefix(b"email="))
        .any(|value| value.windows(3).any(|w| w == b"%40") || value.contains(&b'@'))
}

fn redirect(status: StatusCode, to: &'static str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(LOCATION, http::HeaderValue::from_static(to));
    response
}

fn method_not_allowed(allow: &'static str) -> Response<ResponseBody> {
    let mut response = whole(
        StatusCode::METHOD_NOT_ALLOWED,
        "text/plain",
        "method not allowed\n",
    );
    response
        .headers_mut()
        .insert(ALLOW, http::HeaderValue::from_static(allow));
    response
}

fn whole(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::whole(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}
