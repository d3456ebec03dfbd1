//! Lines out of bytes that come in pieces, in bounded memory. Pure.

use memchr::memchr;

/// The longest line that is read, in bytes. nginx's limit of a request's head is 32 KiB by default, and
/// escapes may quadruple it.
pub(super) const MAX_LINE: usize = 256 << 10;

/// What is found in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A line, without its end.
    Line(&'a [u8]),
    /// A line of more than [`MAX_LINE`] bytes, told of once.
    TooLong,
}

/// Takes the lines out of `bytes`, which start at a line's start or, while `skipping`, within a line that is
/// too long. Calls `each` for each, with the number of bytes up to its end. Returns how many bytes are done
/// with; a line whose end has not come yet is not.
///
/// Zeros before a line are left out: a file that was cut while its writer kept its place begins with them.
pub(super) fn take(bytes: &[u8], skipping: &mut bool, mut each: impl FnMut(Piece<'_>, usize)) -> usize {
    let mut done = 0;
    while done < bytes.len() {
        let rest = &bytes[done..];
        if *skipping {
            let Some(end) = memchr(b'\n', rest) else {
                return bytes.len();
            };
            *skipping = false;
            done += end + 1;
            continue;
        }
        if rest[0] == 0 {
            done += rest.iter().position(|b| *b != 0).unwrap_or(rest.len());
            continue;
        }
        match memchr(b'\n', rest) {
            Some(end) if end <= MAX_LINE => {
                done += end + 1;
                let line = &rest[..end];
                each(Piece::Line(line.strip_suffix(b"\r").unwrap_or(line)), done);
            }
            None if rest.len() <= MAX_LINE => break,
            _ => {
                *skipping = true;
                each(Piece::TooLong, done);
            }
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bytes: &[u8], skipping: &mut bool) -> (Vec<(String, usize)>, usize) {
        let mut found = Vec::new();
        let done = take(bytes, skipping, |piece, done| {
            let text = match piece {
                Piece::Line(line) => String::from_utf8_lossy(line).into_owned(),
                Piece::TooLong => "too long".to_owned(),
            };
            found.push((text, done));
        });
        (found, done)
    }

    #[test]
    fn a_line_counts_once_its_end_is_there() {
        let (found, done) = taken(b"one\ntwo\r\n\nthr", &mut false);
        assert_eq!(found, [("one".into(), 4), ("two".into(), 9), (String::new(), 10)]);
        assert_eq!(done, 10);
    }

    #[test]
    fn a_line_that_is_too_long_is_told_of_once_and_its_end_is_waited_for() {
        let mut skipping = false;
        let mut bytes = b"a\n".to_vec();
        bytes.resize(MAX_LINE + 10, b'x');
        let (found, done) = taken(&bytes, &mut skipping);
        assert_eq!((found.len(), done), (2, bytes.len()));
        assert!(skipping && found[1].0 == "too long");
        assert_eq!(taken(b"more", &mut skipping), (Vec::new(), 4));
        assert_eq!(taken(b"end\nb\n", &mut skipping), (vec![("b".into(), 6)], 6));
        assert!(!skipping);
    }

    #[test]
    fn zeros_before_a_line_are_not_part_of_it() {
        assert_eq!(
            taken(b"\0\0\0one\n\0\0", &mut false),
            (vec![("one".into(), 7)], 9)
        );
    }
}
