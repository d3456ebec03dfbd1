//! An HTTP/2 request's head as [`Asked`] (RFC 9113 §8.3.1).

use http::{Method, Uri, request::Parts};
use httparse::Header;
use hyper::ext::Protocol;
use smallvec::SmallVec;

use crate::{
    http1::{self, Refusal},
    proxy::asked::{Asked, Framing},
};

/// A browser's request seldom has more fields.
const FIELDS: usize = 24;

/// Reads a head and passes it to `then`. `framing` says what is known of the body, `https` whether the
/// connection is over TLS.
///
/// Cookies that came as several fields are joined into one (RFC 9113 §8.2.3), in `cookies`, an empty buffer.
///
/// # Errors
/// [`Refusal::Host`] where neither `:authority` nor `Host` names a host, or both do and differ;
/// [`Refusal::Target`].
pub(super) fn read<T>(
    parts: &Parts,
    framing: Framing,
    https: bool,
    cookies: &mut Vec<u8>,
    then: impl FnOnce(&Asked<'_>) -> T,
) -> Result<T, Refusal> {
    let websocket = is_websocket(parts);
    let crumbs = parts.headers.get_all(http::header::COOKIE);
    let crumbled = crumbs.iter().nth(1).is_some();
    if crumbled {
        for crumb in crumbs {
            if !cookies.is_empty() {
                cookies.extend_from_slice(b"; ");
            }
            cookies.extend_from_slice(crumb.as_bytes());
        }
    }
    let mut fields: SmallVec<[Header<'_>; FIELDS]> = parts
        .headers
        .iter()
        .filter(|(name, _)| !crumbled || **name != http::header::COOKIE)
        .map(|(name, value)| Header {
            name: name.as_str(),
            value: value.as_bytes(),
        })
        .collect();
    if crumbled {
        fields.push(Header {
            name: "cookie",
            value: cookies,
        });
    }
    let asked = Asked {
        method: if websocket { "GET" } else { parts.method.as_str() },
        target: target(&parts.method, &parts.uri, websocket)?,
        host: Some(host(parts)?),
        https,
        version: http::Version::HTTP_2,
        fields: &fields,
        framing,
        expects_continue: parts.headers.contains_key(http::header::EXPECT),
        websocket,
    };
    Ok(then(&asked))
}

/// Whether this is an extended CONNECT for a WebSocket.
fn is_websocket(parts: &Parts) -> bool {
    parts.method == Method::CONNECT
        && parts
            .extensions
            .get::<Protocol>()
            .is_some_and(|p| p.as_str().eq_ignore_ascii_case("websocket"))
}

/// Path and query; of a plain CONNECT the authority, which is all it has.
fn target<'a>(method: &Method, uri: &'a Uri, websocket: bool) -> Result<&'a str, Refusal> {
    if method == Method::CONNECT && !websocket {
        return uri
            .authority()
            .map(http::uri::Authority::as_str)
            .ok_or(Refusal::Target);
    }
    match uri.path_and_query().map(http::uri::PathAndQuery::as_str) {
        Some("*") if method != Method::OPTIONS => Err(Refusal::Target),
        Some(target) if target.starts_with('/') || target == "*" => Ok(target),
        _ => Err(Refusal::Target),
    }
}

/// The one host that `:authority` and `Host` name (RFC 9113 §8.3.1).
fn host(parts: &Parts) -> Result<&str, Refusal> {
    let mut named = parts.uri.authority().map(http::uri::Authority::as_str);
    for line in parts.headers.get_all(http::header::HOST) {
        let line = line.to_str().map_err(|_| Refusal::Host)?.trim_ascii();
        match named {
            Some(before) if !before.eq_ignore_ascii_case(line) => return Err(Refusal::Host),
            _ => named = Some(line),
        }
    }
    named
        .filter(|host| !host.is_empty() && http1::is_authority(host))
        .ok_or(Refusal::Host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(request: http::request::Builder) -> Result<String, Refusal> {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        read(&parts, Framing::None, false, &mut Vec::new(), |asked| {
            let fields = asked.fields.iter();
            let fields: Vec<_> = fields
                .map(|f| format!("{}={}", f.name, String::from_utf8_lossy(f.value)))
                .collect();
            let host = asked.host.unwrap();
            format!("{} {} {host} {}", asked.method, asked.target, fields.join("|"))
        })
    }

    #[test]
    fn authority_and_host_name_one_host() {
        let get = || http::Request::get("https://a.example/x?y");
        for (request, host) in [
            (get(), Ok("GET /x?y a.example ")),
            (
                get().header("host", "A.example"),
                Ok("GET /x?y A.example host=A.example"),
            ),
            (get().header("host", "b.example"), Err(Refusal::Host)),
            (
                get().header("host", "a.example").header("host", "b"),
                Err(Refusal::Host),
            ),
            (
                http::Request::get("/x").header("host", "b.example"),
                Ok("GET /x b.example host=b.example"),
            ),
            (http::Request::get("/x"), Err(Refusal::Host)),
            (http::Request::get("https://user@a.example/x"), Err(Refusal::Host)),
        ] {
            assert_eq!(read_text(request), host.map(str::to_owned));
        }
    }

    #[test]
    fn cookie_crumbs_are_one_field() {
        let crumbs = http::Request::get("https://a/")
            .header("cookie", "a=1")
            .header("accept", "*/*")
            .header("cookie", "b=2");
        assert_eq!(read_text(crumbs).unwrap(), "GET / a accept=*/*|cookie=a=1; b=2");
        let whole = http::Request::get("https://a/").header("cookie", "a=1; b=2");
        assert_eq!(read_text(whole).unwrap(), "GET / a cookie=a=1; b=2");
    }

    #[test]
    fn a_websocket_is_asked_for_with_get_and_other_tunnels_with_connect() {
        let connect = |uri| http::Request::builder().method("CONNECT").uri(uri);
        let chat = connect("https://a/chat").extension(Protocol::from_static("websocket"));
        assert_eq!(read_text(chat).unwrap(), "GET /chat a ");
        let tunnel = connect("https://a/x").extension(Protocol::from_static("connect-udp"));
        assert_eq!(read_text(tunnel).unwrap(), "CONNECT a a ");
        assert_eq!(read_text(connect("a:443")).unwrap(), "CONNECT a:443 a:443 ");
    }

    #[test]
    fn an_asterisk_is_for_options_alone() {
        let ask = |method| {
            http::Request::builder()
                .method(method)
                .uri("*")
                .header("host", "a")
        };
        assert_eq!(read_text(ask("OPTIONS")).unwrap(), "OPTIONS * a host=a");
        assert_eq!(read_text(ask("GET")), Err(Refusal::Target));
    }
}
