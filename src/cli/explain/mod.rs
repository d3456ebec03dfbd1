//! `gatecount explain`: what happens to one request, decided by the functions that the proxy calls.
//!
//! The request is given by flags like curl's, or with `--batch` as one JSON object per line:
//!
//! ```json
//! {"peer": "10.0.0.9:4711", "method": "GET", "url": "/a?b=c", "headers": [["host", "example.com"]],
//!  "response": {"status": 200, "headers": [["content-type", "text/html"]]}}
//! ```
//!
//! Only `url` is required. The default `peer` is a proxy on this machine (127.0.0.1, trusted by default, so
//! that forwarding headers are read), the default `method` is GET, the default `response` is 200 with
//! `text/html`; a response may have the start of its `body`, as text. A member with another name is an error,
//! as in the configuration: a misspelled `header` would silently change the answer. A line that is no such object, or a request that the proxy would refuse, is
//! answered with `{"error": "…"}`. A refused request is a story like another: the exit status is 0.
//!
//! `explain curl …` reads a curl command line, as browsers copy it.

mod batch;
mod curl;
mod pasted;
mod request;
mod script;
mod shell_words;
mod story;
mod words;

#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    io::{self, BufWriter, Write},
};

use clap::{Args, Subcommand};

use crate::config::{self, Sources};

use self::{
    request::{field, peer},
    story::NoStory,
};

pub(super) use self::{
    request::{AppResponse, Case},
    story::Story,
};
use super::error::{CommandError, usage};

pub(super) use pasted::explain as explain_pasted;

/// The request, by flags like curl's.
#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true, disable_help_subcommand = true)]
#[expect(
    clippy::doc_markdown,
    reason = "these comments are the help text, which is no Markdown"
)]
pub(super) struct Arguments {
    /// The method [default: GET]
    #[arg(
        short = 'X',
        long = "request",
        value_name = "METHOD",
        conflicts_with = "batch"
    )]
    method: Option<String>,
    /// A header of the request; repeatable. 'NAME;' is an empty one
    #[arg(
        short = 'H',
        long = "header",
        value_name = "NAME: VALUE",
        conflicts_with = "batch"
    )]
    headers: Vec<String>,
    /// Who is connected: ADDRESS[:PORT] or unix: [default: 127.0.0.1, a proxy on this machine]
    #[arg(long, value_name = "ADDR", conflicts_with = "batch")]
    peer: Option<String>,
    /// The app's status [default: 200]
    #[arg(long, value_name = "N", conflicts_with = "batch")]
    status: Option<u16>,
    /// A header of the app's response; repeatable. Without a content-type it is text/html
    #[arg(
        long = "response-header",
        value_name = "NAME: VALUE",
        conflicts_with = "batch"
    )]
    response_headers: Vec<String>,
    /// How the body of the app's response begins, which decides where it has no content-type
    #[arg(long = "response-body", value_name = "TEXT", conflicts_with = "batch")]
    response_body: Option<String>,
    /// One JSON object instead of words
    #[arg(long)]
    json: bool,
    /// Read one request a line from standard input, as JSON, and write one object a line
    #[arg(long)]
    batch: bool,
    /// A path, or http://HOST/PATH or https://…, whose host is the Host header if none is given
    #[arg(
        value_name = "URL",
        required_unless_present = "batch",
        conflicts_with = "batch"
    )]
    url: Option<String>,
    #[command(subcommand)]
    pasted: Option<Pasted>,
}

/// A request in another program's words.
#[derive(Debug, Subcommand)]
enum Pasted {
    /// A curl command line, as browsers copy it; flags of explain stand before it
    #[command(disable_help_flag = true)]
    Curl {
        /// curl's own flags and the URL
        #[arg(value_name = "ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
}

pub(super) fn run(sources: &Sources, arguments: Arguments) -> Result<(), CommandError> {
    let rules = config::load_rules(sources)?;
    let mut out = BufWriter::new(io::stdout().lock());
    if arguments.batch {
        if arguments.pasted.is_some() {
            return Err(usage(
                "--batch reads requests from standard input, and takes no curl command line",
            ));
        }
        batch::run(&rules, io::stdin().lock(), &mut out)?;
        return Ok(());
    }
    let json = arguments.json;
    let case = case(arguments).map_err(|problem| usage(&problem))?;
    let story = match Story::tell(&rules, &case) {
        Err(NoStory::Input(problem)) => return Err(usage(&problem)),
        story => story,
    };
    if json {
        let written = match &story {
            Ok(story) => serde_json::to_writer(&mut out, story),
            Err(refused) => serde_json::to_writer(&mut out, &batch::Wrong::of(refused)),
        };
        written.map_err(io::Error::from)?;
        out.write_all(b"\n")?;
    } else {
        let told = match &story {
            Ok(story) => words::tell(&rules, &case, story),
            Err(refused) => words::tell_refusal(&case, refused),
        };
        out.write_all(told.as_bytes())?;
    }
    out.flush()?;
    Ok(())
}

fn case(arguments: Arguments) -> Result<Case, String> {
    let mut response = AppResponse::page();
    if let Some(status) = arguments.status {
        response.status = status;
    }
    let given = fields(&arguments.response_headers)?;
    if given
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
    {
        response.headers.clear();
    }
    response.headers.extend(given);
    response.body = arguments.response_body;
    let peer = peer(arguments.peer.as_deref())?;
    let given = fields(&arguments.headers)?;
    if let Some(Pasted::Curl { words }) = arguments.pasted {
        if arguments.method.is_some() || arguments.url.is_some() || !given.is_empty() {
            return Err(
                "with a curl command line, method, headers and URL are curl's: put them behind curl"
                    .to_owned(),
            );
        }
        let curl::CurlRequest { method, url, headers } = curl::read(&words)?;
        return Ok(Case {
            peer,
            method,
            url,
            headers,
            response,
        });
    }
    Ok(Case {
        peer,
        method: arguments.method.unwrap_or_else(|| "GET".to_owned()),
        url: arguments.url.unwrap_or_default(),
        headers: given,
        response,
    })
}

fn fields(lines: &[String]) -> Result<Vec<(String, String)>, String> {
    lines.iter().map(|line| field(line)).collect()
}
