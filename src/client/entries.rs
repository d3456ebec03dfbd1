//! The hops that the configured header tells of, nearest first.

use httparse::Header;

use super::{
    addr::{Address, trim},
    forwarded::FromRight,
    names,
};

/// One hop's entry.
pub(super) struct Entry<'a> {
    /// The entry as it came, white space around it cut off.
    pub(super) text: &'a [u8],
    /// The address in it; none for `unknown`, a hidden name, rubbish and the unspecified address.
    pub(super) address: Option<Address>,
}

impl<'a> Entry<'a> {
    /// The entries of `X-Forwarded-For` over all its lines, from the right.
    pub(super) fn all_of_for(fields: &'a [Header<'a>]) -> impl Iterator<Item = Entry<'a>> {
        List::of(names::FOR, fields).map(Entry::of_address)
    }

    /// The elements of `Forwarded` over all its lines, from the right.
    pub(super) fn all_of_forwarded(fields: &'a [Header<'a>]) -> impl Iterator<Item = Entry<'a>> {
        FromRight::of(fields).map(|element| Entry {
            text: element.text(),
            address: element.address().filter(|a| !a.ip().is_unspecified()),
        })
    }

    /// An entry that is an address in some spelling, or should be.
    pub(super) fn of_address(text: &'a [u8]) -> Self {
        Entry {
            text,
            address: Address::from_entry(text),
        }
    }
}

/// The members of a comma-separated list over all lines of one header, from the right, blank ones left out.
pub(super) struct List<'a> {
    name: &'static str,
    /// The lines that were not begun yet.
    fields: &'a [Header<'a>],
    /// What is left of the line being read.
    line: Option<&'a [u8]>,
}

impl<'a> List<'a> {
    pub(super) fn of(name: &'static str, fields: &'a [Header<'a>]) -> Self {
        List {
            name,
            fields,
            line: None,
        }
    }
}

impl<'a> Iterator for List<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let Some(line) = self.line.take() else {
                let (line, before) = last_line(self.name, self.fields)?;
                (self.line, self.fields) = (Some(line), before);
                continue;
            };
            let member = match memchr::memrchr(b',', line) {
                Some(comma) => {
                    self.line = Some(&line[..comma]);
                    trim(&line[comma + 1..])
                }
                None => trim(line),
            };
            if !member.is_empty() {
                return Some(member);
            }
        }
    }
}

/// The last line of that name, and the fields before it.
pub(super) fn last_line<'a>(name: &str, fields: &'a [Header<'a>]) -> Option<(&'a [u8], &'a [Header<'a>])> {
    let at = fields.iter().rposition(|f| f.name.eq_ignore_ascii_case(name))?;
    Some((fields[at].value, &fields[..at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(lines: &[&str]) -> Vec<String> {
        let fields: Vec<_> = lines
            .iter()
            .map(|l| Header {
                name: "X-Forwarded-For",
                value: l.as_bytes(),
            })
            .collect();
        let members = List::of(names::FOR, &fields);
        members.map(|m| String::from_utf8_lossy(m).into_owned()).collect()
    }

    #[test]
    fn lines_are_one_list_read_from_the_right() {
        assert_eq!(list(&["1, 2", "3"]), ["3", "2", "1"]);
        assert_eq!(list(&["", " ,\t, a ,, b\t,", ","]), ["b", "a"]);
        assert_eq!(list(&[]), [""; 0]);
        assert_eq!(list(&[" , "]), [""; 0]);
    }

    #[test]
    fn only_the_header_of_that_very_name_is_read() {
        let fields = [
            ("x_forwarded_for", "1"),
            ("X-FORWARDED-FOR", "2"),
            ("x-forwarded-fo", "3"),
        ];
        let fields = fields.map(|(name, value)| Header {
            name,
            value: value.as_bytes(),
        });
        assert_eq!(List::of(names::FOR, &fields).collect::<Vec<_>>(), [b"2"]);
    }
}
