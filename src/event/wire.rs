//! The binary form of what passes between threads and into the queue: little-endian numbers, and bytes with
//! their length before them. Reading never panics and never reads past the end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Appends bytes with their length before them.
pub(super) fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// As [`put`], for the bytes that `write` appends.
pub(super) fn put_with(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    put(out, b"");
    let start = out.len();
    write(out);
    let len = (out.len() - start) as u32;
    out[at..start].copy_from_slice(&len.to_le_bytes());
}

/// Appends an address with its length before it.
pub(super) fn put_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            out.push(4);
            out.extend_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => {
            out.push(16);
            out.extend_from_slice(&v6.octets());
        }
    }
}

/// Reads values from the front of what is left.
pub(super) struct WireReader<'a>(pub(super) &'a [u8]);

impl<'a> WireReader<'a> {
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array().map(|[b]| b)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = u32::from_le_bytes(self.array()?);
        self.take(len as usize)
    }

    pub(super) fn address(&mut self) -> Option<IpAddr> {
        match self.byte()? {
            4 => self.array().map(|o: [u8; 4]| Ipv4Addr::from(o).into()),
            16 => self.array().map(|o: [u8; 16]| Ipv6Addr::from(o).into()),
            _ => None,
        }
    }
}
