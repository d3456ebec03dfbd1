//! The words of a command line, as developer tools of browsers copy it for a shell.

/// The words of a command line as a POSIX shell reads them, and bash's `$'…'`. Nothing is substituted.
///
/// # Errors
/// A quote that is not closed.
pub(super) fn shell_words(line: &str) -> Result<Vec<String>, String> {
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

    #[test]
    fn a_command_as_chromium_copies_it_is_parted() {
        let line = "curl 'https://example.com/a?b=c' \\\n  -H 'accept: text/html' \\\n  -H $'user-agent: \
                    M\\u00f6zilla \\'5\\'' \\\r\n  --compressed";
        assert_eq!(
            shell_words(line).unwrap(),
            [
                "curl",
                "https://example.com/a?b=c",
                "-H",
                "accept: text/html",
                "-H",
                "user-agent: Mözilla '5'",
                "--compressed"
            ]
        );
    }

    #[test]
    fn quotes_are_read_as_a_shell_reads_them() {
        assert_eq!(
            shell_words("a\"b c\"'d e' \"x \\\"y\\\" \\c\" '' f\\ g").unwrap(),
            ["ab cd e", "x \"y\" \\c", "", "f g"]
        );
        assert!(shell_words("curl 'http://a/").unwrap_err().contains("closing '"));
    }
}
