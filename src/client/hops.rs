//! The hops that the configured header lists, nearest first.

use httparse::Header;

use crate::field;

use super::{address::Address, forwarded, names};

/// One hop's entry.
pub(super) struct Hop<'a> {
    /// The entry as sent, without the white space around it.
    pub(super) text: &'a [u8],
    /// Its address; none for `unknown`, an obfuscated name, anything else that is no address, and the
    /// unspecified address.
    pub(super) address: Option<Address>,
}

impl<'a> Hop<'a> {
    /// The entries of all `X-Forwarded-For` lines, from the right.
    pub(super) fn in_x_forwarded_for(fields: &'a [Header<'a>]) -> impl Iterator<Item = Hop<'a>> {
        field::list_from_right(fields, names::FOR).map(Hop::read)
    }

    /// The elements of all `Forwarded` lines, from the right.
    pub(super) fn in_forwarded(fields: &'a [Header<'a>]) -> impl Iterator<Item = Hop<'a>> {
        forwarded::from_right(fields).map(|element| Hop {
            text: element.text(),
            address: element.address().filter(|a| !a.ip().is_unspecified()),
        })
    }

    /// Reads one entry of `X-Forwarded-For`, or the value of a single-address header.
    pub(super) fn read(text: &'a [u8]) -> Self {
        Hop {
            text,
            address: Address::from_entry(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_entries_and_other_spellings_of_the_name_are_no_hops() {
        let fields = [
            ("X-Forwarded-For", "192.0.2.1,, unknown"),
            ("x_forwarded_for", "192.0.2.9"),
            ("x-forwarded-fo", "192.0.2.9"),
            ("X-FORWARDED-FOR", " , 192.0.2.2\t,"),
        ];
        let fields = fields.map(|(name, value)| Header {
            name,
            value: value.as_bytes(),
        });
        let texts: Vec<_> = Hop::in_x_forwarded_for(&fields).map(|hop| hop.text).collect();
        assert_eq!(texts, [&b"192.0.2.2"[..], b"unknown", b"192.0.2.1"]);
    }
}
