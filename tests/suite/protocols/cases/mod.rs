//! The requests, and what the app says to each.

mod clients;
mod pages;
mod requests;
mod responses;

use std::{collections::HashMap, sync::Arc};

use super::Fields;
use crate::support::{
    client::{NAVIGATION, Request},
    message::Head,
    origin::Then,
};

/// One request with its answer.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) id: String,
    pub(super) visitor: Visitor,
    /// Its head, without what says how long the body is where that is not said.
    pub(super) request: Request,
    pub(super) upload: Upload,
    pub(super) script: Script,
    /// What is sent through the tunnel of a WebSocket, and comes back.
    pub(super) tunnelled: Vec<u8>,
}

/// What the app does with a request that it has read.
#[derive(Debug, Clone)]
pub(super) struct Script {
    /// Its bytes.
    pub(super) answer: Vec<u8>,
    pub(super) then: Then,
    /// It agrees to an upgrade, and echoes.
    pub(super) switches: bool,
}

/// From where a request comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Visitor {
    /// From an address that nobody trusts to name the client.
    Direct,
    /// From a proxy that is trusted.
    BehindProxy,
}

/// A request's body.
#[derive(Debug, Clone)]
pub(super) enum Upload {
    None,
    /// Its length is said beforehand.
    Length(Vec<u8>),
    /// It ends by itself: pieces, and trailers.
    Chunked(Vec<Vec<u8>>, Fields),
}

/// All of them.
#[derive(Clone)]
pub(super) struct Cases {
    pub(super) all: Vec<Case>,
    scripts: Arc<HashMap<String, Script>>,
}

/// How the path of the request ends of which a trusted proxy says that it came over http.
pub(super) const SAID_TO_BE_HTTP: &str = "/a-proxy-says-http";

const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 15\r\n\r\n\
                    <title>A</title";

impl Visitor {
    pub(super) fn address(self) -> &'static str {
        match self {
            Visitor::Direct => "127.0.0.1",
            Visitor::BehindProxy => "127.0.0.2",
        }
    }
}

impl Case {
    /// The request in HTTP/1.1.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let request = self.request.clone();
        match &self.upload {
            Upload::None => request.bytes(),
            Upload::Length(body) => [request.bytes(), body.clone()].concat(),
            Upload::Chunked(pieces, trailers) => {
                let mut bytes = request.with("Transfer-Encoding", "chunked").bytes();
                for piece in pieces {
                    bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
                    bytes.extend(piece);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"0\r\n");
                for (name, value) in trailers {
                    bytes.extend(format!("{name}: {value}\r\n").bytes());
                }
                bytes.extend(b"\r\n");
                bytes
            }
        }
    }

    fn behind_proxy(mut self) -> Case {
        self.visitor = Visitor::BehindProxy;
        self
    }

    fn upload(mut self, upload: Upload) -> Case {
        if let Upload::Length(body) = &upload {
            self.request = self.request.with("Content-Length", &body.len().to_string());
        }
        self.upload = upload;
        self
    }

    /// The app answers with these bytes and keeps its connection.
    fn answered(mut self, bytes: impl Into<Vec<u8>>) -> Case {
        self.script.answer = bytes.into();
        self
    }

    /// The app closes its connection behind the answer.
    fn closed(mut self) -> Case {
        self.script.then = Then::Close;
        self
    }
}

impl Cases {
    pub(super) fn new() -> Cases {
        let mut all = Vec::new();
        for group in [
            requests::methods,
            requests::targets,
            requests::cookies,
            responses::statuses,
            responses::framings,
            responses::interim,
            pages::navigations,
            clients::forwarding,
            clients::connection_options,
            requests::sizes,
            pages::ranges,
            requests::request_fields,
            responses::response_fields,
            requests::upgrades,
            responses::refused,
            responses::declared,
        ] {
            all.extend(group());
        }
        let scripts = all
            .iter()
            .map(|case: &Case| (case.id.clone(), case.script.clone()))
            .collect();
        Cases {
            all,
            scripts: Arc::new(scripts),
        }
    }

    /// What the app does with this request.
    #[track_caller]
    pub(super) fn of(&self, head: &Head) -> Script {
        let id = head.get("x-case").expect("a case's request");
        self.scripts[id].clone()
    }
}

fn case(id: impl Into<String>, request: Request) -> Case {
    let id = id.into();
    Case {
        request: request.with("X-Case", &id),
        id,
        visitor: Visitor::Direct,
        upload: Upload::None,
        script: Script {
            answer: PAGE.into(),
            then: Then::Keep,
            switches: false,
        },
        tunnelled: Vec::new(),
    }
}

/// A page view by a visitor of its own.
fn page(id: impl Into<String>) -> Case {
    let id = id.into();
    case(id.clone(), Request::get(&path(&id)).as_(NAVIGATION))
}

/// A path of its own.
fn path(id: &str) -> String {
    format!("/{}", id.replace(|c: char| !c.is_ascii_alphanumeric(), "-"))
}

/// A response to this method: the body is left out where there is none.
fn response(method: &str, status: &str, fields: &str, body: &str) -> String {
    let code = &status[..3];
    let bare = method == "HEAD" || code == "204" || code == "304";
    let length = match code {
        "204" | "304" => String::new(),
        _ => format!("Content-Length: {}\r\n", body.len()),
    };
    format!(
        "HTTP/1.1 {status}\r\n{fields}{length}\r\n{}",
        if bare { "" } else { body }
    )
}
