//! A pasted curl command line, as browsers copy requests: read for what reaches the server, with what does
//! not matter here left out.

use std::ffi::OsString;

use super::request::field;

/// Short options that take a value.
const SHORT_WITH_VALUE: &str = "AbCcdDeEFHKmoPQrtTuUwxXyYz";

/// Long options that take a value. Every other one stands alone.
const LONG_WITH_VALUE: &str = "\
    alt-svc cacert capath cert cert-type ciphers config connect-timeout connect-to cookie cookie-jar \
    data data-ascii data-binary data-raw data-urlencode dns-servers dump-header expect100-timeout \
    form form-string header interface json keepalive-time key key-type limit-rate local-port \
    max-filesize max-redirs max-time noproxy oauth2-bearer output output-dir pass pinnedpubkey proto \
    proxy proxy-header proxy-user range rate referer request request-target resolve retry \
    retry-delay retry-max-time socks5 socks5-hostname speed-limit speed-time stderr time-cond \
    tls-max tls13-ciphers trace trace-ascii unix-socket upload-file url user user-agent write-out";

/// What curl says of itself unless it is told otherwise.
const CURL: &str = "curl/8";

/// The request that a command line makes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CurlRequest {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
}

/// What the options say, before curl's defaults.
#[derive(Debug, Default)]
struct CurlOptions {
    method: Option<String>,
    url: Option<String>,
    /// The lines of `-H`.
    lines: Vec<String>,
    /// Fields by options of their own. `-H` beats them.
    fields: Vec<(&'static str, String)>,
    /// The content type that a body has by its option.
    body: Option<&'static str>,
    data: Vec<String>,
    is_get: bool,
    is_head: bool,
    is_upload: bool,
}

/// Reads the words behind `curl`.
///
/// # Errors
/// What is missing, or can't be read.
pub(super) fn read(words: &[OsString]) -> Result<CurlRequest, String> {
    let mut options = CurlOptions::default();
    let mut words = words.iter().map(|word| word.to_string_lossy().into_owned());
    while let Some(word) = words.next() {
        if let Some(name) = word.strip_prefix("--").filter(|name| !name.is_empty()) {
            let (name, inline) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            let value = match inline {
                None if LONG_WITH_VALUE.split(' ').any(|known| known == name) => {
                    Some(value_of(&word, words.next())?)
                }
                inline => inline,
            };
            options.take(name, value)?;
        } else if let Some(cluster) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            options.take_cluster(cluster, || words.next())?;
        } else if word != "--" {
            options.set_url(word)?;
        }
    }
    options.request()
}

fn value_of(option: &str, value: Option<String>) -> Result<String, String> {
    value.ok_or_else(|| format!("curl's {option} wants a value"))
}

impl CurlOptions {
    /// Letters behind one hyphen. The first that takes a value has the rest of the word, or the next word.
    fn take_cluster(
        &mut self,
        cluster: &str,
        mut next: impl FnMut() -> Option<String>,
    ) -> Result<(), String> {
        for (at, letter) in cluster.char_indices() {
            if SHORT_WITH_VALUE.contains(letter) {
                let rest = &cluster[at + letter.len_utf8()..];
                let value = match rest {
                    "" => value_of(&format!("-{letter}"), next())?,
                    rest => rest.to_owned(),
                };
                return self.take(long(letter), Some(value));
            }
            self.take(long(letter), None)?;
        }
        Ok(())
    }

    fn take(&mut self, name: &str, value: Option<String>) -> Result<(), String> {
        const FORM: &str = "application/x-www-form-urlencoded";
        let value = value.unwrap_or_default();
        match name {
            "request" => self.method = Some(value),
            "url" => self.set_url(value)?,
            "header" => self.lines.push(value),
            "user-agent" => self.fields.push(("User-Agent", value)),
            "referer" => {
                let page = value.strip_suffix(";auto").unwrap_or(&value);
                self.fields.push(("Referer", page.to_owned()));
            }
            "cookie" if value.contains('=') => self.fields.push(("Cookie", value)),
            "cookie" => {
                return Err(format!(
                    "curl's -b names a file of cookies ({value:?}): paste -b 'NAME=VALUE'"
                ));
            }
            "range" => self.fields.push(("Range", format!("bytes={value}"))),
            "compressed" => self
                .fields
                .push(("Accept-Encoding", "deflate, gzip, br, zstd".to_owned())),
            "data" | "data-ascii" | "data-binary" | "data-raw" | "data-urlencode" => {
                self.data.push(value);
                self.body = Some(FORM);
            }
            "json" => {
                self.fields.push(("Accept", "application/json".to_owned()));
                self.body = Some("application/json");
            }
            "form" | "form-string" => self.body = Some("multipart/form-data"),
            "get" => self.is_get = true,
            "head" => self.is_head = true,
            "upload-file" => self.is_upload = true,
            // How curl connects, and what it does with the answer.
            _ => {}
        }
        Ok(())
    }

    fn set_url(&mut self, url: String) -> Result<(), String> {
        if let Some(first) = &self.url {
            return Err(format!(
                "one URL is wanted, and curl was given {first:?} and {url:?}"
            ));
        }
        self.url = Some(url);
        Ok(())
    }

    fn request(self) -> Result<CurlRequest, String> {
        let url = self.url.ok_or("curl's command line has no URL")?;
        // As curl does.
        let mut url = if url.contains("://") {
            url
        } else {
            format!("http://{url}")
        };
        if self.is_get && !self.data.is_empty() {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&self.data.join("&"));
        }
        let body = self.body.filter(|_| !self.is_get);
        let method = self.method.unwrap_or_else(|| {
            let by_option = match body {
                _ if self.is_head => "HEAD",
                Some(_) => "POST",
                None if self.is_upload => "PUT",
                None => "GET",
            };
            by_option.to_owned()
        });
        // A line without a value takes a field away; with a semicolon for the colon it is an empty one.
        let (mut headers, mut gone) = (Vec::new(), Vec::new());
        for line in &self.lines {
            let (name, value) = field(line)?;
            if value.is_empty() && line.contains(':') {
                gone.push(name);
            } else {
                headers.push((name, value));
            }
        }
        let defaults = [("User-Agent", CURL), ("Accept", "*/*")];
        let own = self.fields.into_iter();
        let own = own.chain(body.map(|kind| ("Content-Type", kind.to_owned())));
        for (name, value) in own.chain(defaults.map(|(name, value)| (name, value.to_owned()))) {
            let is_set = headers.iter().map(|(name, _)| name).chain(&gone);
            if !is_set.into_iter().any(|set| set.eq_ignore_ascii_case(name)) {
                headers.push((name.to_owned(), value));
            }
        }
        Ok(CurlRequest { method, url, headers })
    }
}

/// The long name of a short option, where it matters here.
fn long(letter: char) -> &'static str {
    match letter {
        'X' => "request",
        'H' => "header",
        'A' => "user-agent",
        'e' => "referer",
        'b' => "cookie",
        'r' => "range",
        'd' => "data",
        'F' => "form",
        'G' => "get",
        'I' => "head",
        'T' => "upload-file",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split('|').map(OsString::from).collect()
    }

    fn value<'r>(request: &'r CurlRequest, name: &str) -> Option<&'r str> {
        let found = request.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    #[test]
    fn what_a_browser_copies_is_its_request() {
        let request = read(&words(
            "https://example.com/a?b=1#c|-H|accept: text/html|-H|user-agent: Mozilla/5.0|-b|sid=1; b=2|--compressed|\
             -H|sec-fetch-dest: document|--insecure|--max-time|5|-o|page.html|-sSL",
        ))
        .unwrap();
        assert_eq!(
            (request.method.as_str(), request.url.as_str()),
            ("GET", "https://example.com/a?b=1#c")
        );
        assert_eq!(value(&request, "cookie"), Some("sid=1; b=2"));
        assert_eq!(value(&request, "user-agent"), Some("Mozilla/5.0"));
        assert_eq!(value(&request, "accept"), Some("text/html"));
        assert_eq!(
            value(&request, "accept-encoding"),
            Some("deflate, gzip, br, zstd")
        );
        assert_eq!(request.headers.len(), 5, "{request:?}");
    }

    #[test]
    fn a_body_makes_a_post_unless_it_is_put_elsewhere() {
        for (line, method, url, kind) in [
            (
                "http://a/|--data-raw|x=1",
                "POST",
                "http://a/",
                Some("application/x-www-form-urlencoded"),
            ),
            (
                "http://a/|-dx=1|-H|Content-Type: text/plain",
                "POST",
                "http://a/",
                Some("text/plain"),
            ),
            (
                "http://a/|--json|{}",
                "POST",
                "http://a/",
                Some("application/json"),
            ),
            (
                "http://a/|-F|a=@b",
                "POST",
                "http://a/",
                Some("multipart/form-data"),
            ),
            (
                "http://a/|--data=x|-X|PATCH",
                "PATCH",
                "http://a/",
                Some("application/x-www-form-urlencoded"),
            ),
            ("http://a/?q|-G|-d|x=1|-d|y=2", "GET", "http://a/?q&x=1&y=2", None),
            ("a/b|-I", "HEAD", "http://a/b", None),
            ("--url|a|-T|file", "PUT", "http://a", None),
        ] {
            let request = read(&words(line)).unwrap();
            assert_eq!(
                (request.method.as_str(), request.url.as_str()),
                (method, url),
                "{line}"
            );
            assert_eq!(value(&request, "content-type"), kind, "{line}");
        }
    }

    #[test]
    fn curls_own_fields_are_there_unless_they_are_taken_away() {
        let plain = read(&words("http://a/")).unwrap();
        assert_eq!(
            (value(&plain, "user-agent"), value(&plain, "accept")),
            (Some(CURL), Some("*/*"))
        );
        let other = read(&words("http://a/|-Ax|-H|Accept:|-H|X-Empty;|-e|http://b/;auto")).unwrap();
        assert_eq!(
            (value(&other, "user-agent"), value(&other, "accept")),
            (Some("x"), None)
        );
        assert_eq!(
            (value(&other, "x-empty"), value(&other, "referer")),
            (Some(""), Some("http://b/"))
        );
    }

    #[test]
    fn what_cant_be_read_is_said() {
        for (line, part) in [
            ("-H|a: b", "no URL"),
            ("http://a/|http://b/", "one URL is wanted"),
            ("http://a/|-H", "-H wants a value"),
            ("http://a/|--user-agent", "--user-agent wants a value"),
            ("http://a/|-b|cookies.txt", "a file of cookies"),
            ("http://a/|-H|nonsense", "NAME: VALUE"),
        ] {
            let error = read(&words(line)).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
