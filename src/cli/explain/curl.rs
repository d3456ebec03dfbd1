//! A curl command line, as browsers' developer tools copy it for a POSIX shell.

use super::request::{AppResponse, Case, peer};

/// Options with a value that say nothing of the request's head.
const IGNORED: [&str; 24] = [
    "-o",
    "--output",
    "-w",
    "--write-out",
    "-m",
    "--max-time",
    "--connect-timeout",
    "--retry",
    "-x",
    "--proxy",
    "--cacert",
    "-E",
    "--cert",
    "--key",
    "--resolve",
    "--connect-to",
    "-c",
    "--cookie-jar",
    "-K",
    "--config",
    "--interface",
    "--limit-rate",
    "-D",
    "--dump-header",
];
/// Options that send a body.
const BODY: [&str; 9] = [
    "-d",
    "--data",
    "--data-raw",
    "--data-binary",
    "--data-ascii",
    "--data-urlencode",
    "--json",
    "-F",
    "--form",
];
/// Options with a value of one letter, which may stand right after it.
const SHORT: &str = "XHAebudFomwxcKED";

/// Reads a command line that begins with `curl`.
///
/// # Errors
/// What can't be read.
pub(super) fn read(line: &str) -> Result<Case, String> {
    let mut command = CurlCommand::default();
    let mut words = shell_words(line)?.into_iter().skip(1).peekable();
    while let Some(word) = words.next() {
        let (option, value) = split_option(&word);
        let takes_value = takes_value(option);
        let value = match value {
            None if takes_value => Some(
                words
                    .next()
                    .ok_or_else(|| format!("curl's {option} lacks its value"))?,
            ),
            value => value.map(str::to_owned),
        };
        command.take(option, value)?;
    }
    command.case()
}

/// What the options have said so far.
#[derive(Debug, Default)]
struct CurlCommand {
    method: Option<String>,
    url: Option<String>,
    headers: Vec<(String, String)>,
    has_body: bool,
    is_form: bool,
}

impl CurlCommand {
    fn take(&mut self, option: &str, value: Option<String>) -> Result<(), String> {
        let field = |name: &str| (name.to_owned(), value.clone().unwrap_or_default());
        match option {
            "-X" | "--request" => self.method = value,
            "-I" | "--head" => self.method = Some("HEAD".to_owned()),
            "-H" | "--header" => {
                let value = value.unwrap_or_default();
                let (name, value) = value
                    .split_once(':')
                    .or_else(|| Some((value.strip_suffix(';')?, "")))
                    .ok_or_else(|| format!("header {value:?}: NAME: VALUE is wanted"))?;
                self.headers
                    .push((name.trim().to_owned(), value.trim().to_owned()));
            }
            "-A" | "--user-agent" => self.headers.push(field("User-Agent")),
            "-e" | "--referer" => self.headers.push(field("Referer")),
            "-b" | "--cookie" => self.headers.push(field("Cookie")),
            "-u" | "--user" => self
                .headers
                .push(("Authorization".to_owned(), "Basic …".to_owned())),
            "--compressed" => self
                .headers
                .push(("Accept-Encoding".to_owned(), "gzip".to_owned())),
            "--url" => self.url = value,
            option if BODY.contains(&option) => {
                self.has_body = true;
                self.is_form = option.starts_with("-d") || option.starts_with("--data");
            }
            option if option.starts_with('-') => {}
            url => self.url = Some(url.to_owned()),
        }
        Ok(())
    }

    fn case(mut self) -> Result<Case, String> {
        let url = self.url.take().ok_or("the curl command has no address")?;
        // As curl, which takes http where nothing is said.
        let url = if url.contains("://") {
            url
        } else {
            format!("http://{url}")
        };
        self.add_default("User-Agent", "curl/8.17.0");
        self.add_default("Accept", "*/*");
        if self.is_form {
            self.add_default("Content-Type", "application/x-www-form-urlencoded");
        }
        let default = if self.has_body { "POST" } else { "GET" };
        Ok(Case {
            peer: peer(None)?,
            method: self.method.unwrap_or_else(|| default.to_owned()),
            url,
            headers: self.headers,
            response: AppResponse::page(),
        })
    }

    /// Adds what curl sends by itself.
    fn add_default(&mut self, name: &str, value: &str) {
        if !self
            .headers
            .iter()
            .any(|(given, _)| given.eq_ignore_ascii_case(name))
        {
            self.headers.push((name.to_owned(), value.to_owned()));
        }
    }
}

/// An option and the value that is in the same word: `--name=value`, `-Xvalue`. Of several letters without a
/// value (`-sSL`) none says anything of the request but `I`, and the last may take a value.
fn split_option(word: &str) -> (&str, Option<&str>) {
    if word.starts_with("--") {
        return match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
    }
    let is_short = word.starts_with('-') && word.len() > 2 && word.is_char_boundary(2);
    if !is_short {
        return (word, None);
    }
    let (option, rest) = word.split_at(2);
    if SHORT.contains(&option[1..]) {
        return (option, Some(rest));
    }
    if rest.contains('I') {
        return ("-I", None);
    }
    let last = rest.chars().next_back().filter(|last| SHORT.contains(*last));
    let known = last.and_then(|last| {
        [
            "-X", "-H", "-A", "-e", "-b", "-u", "-d", "-F", "-o", "-m", "-w", "-x", "-c", "-K", "-E", "-D",
        ]
        .into_iter()
        .find(|option| option.ends_with(last))
    });
    (known.unwrap_or("-s"), None)
}

fn takes_value(option: &str) -> bool {
    const OF_THE_HEAD: [&str; 13] = [
        "-X",
        "--request",
        "-H",
        "--header",
        "-A",
        "--user-agent",
        "-e",
        "--referer",
        "-b",
        "--cookie",
        "-u",
        "--user",
        "--url",
    ];
    OF_THE_HEAD.contains(&option) || BODY.contains(&option) || IGNORED.contains(&option)
}

/// The words of a command line as a POSIX shell reads them, and bash's `$'…'`. Nothing is substituted.
fn shell_words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some('\n') | None => {}
                Some('\r') => drop(rest.next_if_eq(&'\n')),
                Some(c) => word.get_or_insert_default().push(c),
            },
            '\'' => quoted(&mut rest, '\'', Escapes::None, word.get_or_insert_default())?,
            '"' => quoted(&mut rest, '"', Escapes::Shell, word.get_or_insert_default())?,
            '$' if rest.next_if_eq(&'\'').is_some() => {
                quoted(&mut rest, '\'', Escapes::C, word.get_or_insert_default())?;
            }
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// What a backslash means within quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escapes {
    /// Itself.
    None,
    /// `"`, `\`, `$` and a backtick are taken as they are.
    Shell,
    /// As in C.
    C,
}

type Characters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Reads up to the closing quote.
fn quoted(rest: &mut Characters<'_>, quote: char, escapes: Escapes, word: &mut String) -> Result<(), String> {
    while let Some(c) = rest.next() {
        if c == quote {
            return Ok(());
        }
        if c != '\\' || escapes == Escapes::None {
            word.push(c);
            continue;
        }
        match (escapes, rest.next()) {
            (Escapes::C, Some('n')) => word.push('\n'),
            (Escapes::C, Some('r')) => word.push('\r'),
            (Escapes::C, Some('t')) => word.push('\t'),
            (Escapes::C, Some('x')) => word.extend(code_point(rest, 2)),
            (Escapes::C, Some('u')) => word.extend(code_point(rest, 4)),
            (Escapes::Shell, Some('\n')) => {}
            (Escapes::Shell, Some(c)) if !"\"\\$`".contains(c) => word.extend(['\\', c]),
            (_, Some(c)) => word.push(c),
            (_, None) => break,
        }
    }
    Err(format!("a closing {quote} is missing"))
}

/// The character of at most so many hexadecimal digits.
fn code_point(rest: &mut Characters<'_>, digits: usize) -> Option<char> {
    let mut code = 0;
    for _ in 0..digits {
        let Some(digit) = rest.peek().and_then(|c| c.to_digit(16)) else {
            break;
        };
        code = code * 16 + digit;
        rest.next();
    }
    char::from_u32(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field<'c>(case: &'c Case, name: &str) -> Option<&'c str> {
        let found = case
            .headers
            .iter()
            .find(|(given, _)| given.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    #[test]
    fn a_command_as_chromium_copies_it_is_read() {
        let case = read(
            "curl 'https://example.com/a?b=c' \\\n  -H 'accept: text/html' \\\n  -b 'session=1' \\\n  \
             -H $'user-agent: M\\u00f6zilla \\'5\\'' \\\r\n  --compressed",
        )
        .unwrap();
        assert_eq!(
            (case.method.as_str(), case.url.as_str()),
            ("GET", "https://example.com/a?b=c")
        );
        assert!(case.is_https());
        assert_eq!(field(&case, "accept"), Some("text/html"));
        assert_eq!(field(&case, "cookie"), Some("session=1"));
        assert_eq!(field(&case, "user-agent"), Some("Mözilla '5'"));
    }

    #[test]
    fn what_curl_says_by_itself_is_added() {
        let case = read("curl example.com/a").unwrap();
        assert_eq!(case.url, "http://example.com/a");
        assert_eq!(field(&case, "accept"), Some("*/*"));
        assert!(field(&case, "user-agent").is_some_and(|value| value.starts_with("curl/")));
    }

    #[test]
    fn options_are_read_in_every_form() {
        for (line, method) in [
            ("curl -sSL -XPUT http://a/", "PUT"),
            ("curl --request=DELETE http://a/", "DELETE"),
            ("curl -sI http://a/", "HEAD"),
            ("curl --data-raw 'a=b' http://a/", "POST"),
            ("curl -d a=b -X PATCH http://a/", "PATCH"),
            ("curl -sd a=b http://a/", "POST"),
            ("curl -o /dev/null --max-time 3 --url http://a/", "GET"),
        ] {
            let case = read(line).unwrap();
            assert_eq!(
                (case.method.as_str(), case.url.as_str()),
                (method, "http://a/"),
                "{line}"
            );
        }
        let case = read("curl -A \"a \\\"b\\\" \\c\" -e http://r/ -HX-Empty; http://a/").unwrap();
        assert_eq!(field(&case, "user-agent"), Some("a \"b\" \\c"));
        assert_eq!(field(&case, "referer"), Some("http://r/"));
        assert_eq!(field(&case, "x-empty"), Some(""));
    }

    #[test]
    fn what_is_missing_is_said() {
        for (line, missing) in [
            ("curl 'http://a/", "closing '"),
            ("curl -H", "-H lacks its value"),
            ("curl -H nonsense http://a/", "NAME: VALUE"),
            ("curl -s", "no address"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(missing), "{line}: {error}");
        }
    }
}
