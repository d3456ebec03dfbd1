//! The header of the PROXY protocol, versions 1 and 2 (HAProxy's `proxy-protocol.txt`). No I/O: the caller
//! reads more bytes while the answer is [`ProxyHeader::Incomplete`].
//!
//! Where the specification leaves a choice, the strict one is taken. A source must be a complete IPv4 or IPv6
//! address in its one allowed form; TLVs must fill their space exactly; a checksum among them must be right.
//! The caller closes a connection with an error: what follows a bad header must never be read as a request.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    str,
};

#[cfg(test)]
mod tests;

/// The longest possible header, in bytes: the fixed part of version 2 and the longest block after it.
pub const MAX_LEN: usize = FIXED + u16::MAX as usize;

/// The longest version 1 line, in bytes, with its CRLF.
const MAX_LINE: usize = 107;
const V1: &[u8] = b"PROXY ";
const V2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, length.
const FIXED: usize = 16;
/// The type of the TLV that has the CRC32C of the header.
const CRC32C: u8 = 0x03;

/// The result of parsing the first bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The bytes are the start of a header; more are needed.
    Incomplete,
    /// A complete header.
    Complete {
        /// The source of the connection, an IPv4-mapped address as IPv4. None for LOCAL, UNKNOWN and Unix
        /// sockets, which have no address: then the source is the connection's own peer.
        source: Option<SocketAddr>,
        /// The header's length in bytes; what follows is the connection's data.
        len: usize,
    },
}

/// Why the bytes can't be a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyHeaderError {
    /// They start like neither version.
    #[error("no PROXY protocol header")]
    NotProxy,
    /// A version 1 line does not end with CRLF within 107 bytes.
    #[error("the PROXY line does not end with CRLF within 107 bytes")]
    Line,
    /// A version 1 line has another protocol than TCP4, TCP6 and UNKNOWN.
    #[error("the PROXY line names no protocol of TCP4, TCP6 and UNKNOWN")]
    Protocol,
    /// A version 1 line does not have two addresses of its family and two ports, separated by one space each.
    #[error("the PROXY line has not two addresses of its family and two ports")]
    Addresses,
    /// The version is not 2, or the command is neither LOCAL nor PROXY.
    #[error("a PROXY header of an unknown version or command")]
    Command,
    /// The family is none of IPv4, IPv6 and Unix sockets.
    #[error("a PROXY header of a family other than IPv4, IPv6 and Unix sockets")]
    Family,
    /// The length is too small for the family's addresses.
    #[error("a PROXY header too short for its addresses")]
    Length,
    /// The TLVs do not fill their space exactly, or the checksum is wrong.
    #[error("a PROXY header with a broken TLV or checksum")]
    Tlv,
}

/// Parses a header at the start of a connection's bytes. The result does not depend on how the bytes were
/// split.
///
/// # Errors
/// As soon as the bytes can't be the start of a header.
pub fn parse(bytes: &[u8]) -> Result<ProxyHeader, ProxyHeaderError> {
    if begins(bytes, V2) {
        version_2(bytes)
    } else if begins(bytes, V1) {
        version_1(bytes)
    } else {
        Err(ProxyHeaderError::NotProxy)
    }
}

/// Whether the bytes and the signature agree, up to the end of the shorter one.
fn begins(bytes: &[u8], signature: &[u8]) -> bool {
    bytes.iter().zip(signature).all(|(a, b)| a == b)
}

fn version_1(bytes: &[u8]) -> Result<ProxyHeader, ProxyHeaderError> {
    let Some(newline) = bytes.iter().take(MAX_LINE).position(|b| *b == b'\n') else {
        return if bytes.len() < MAX_LINE {
            Ok(ProxyHeader::Incomplete)
        } else {
            Err(ProxyHeaderError::Line)
        };
    };
    let line = bytes[..newline]
        .strip_suffix(b"\r")
        .ok_or(ProxyHeaderError::Line)?;
    let mut parts = line[V1.len()..].split(|b| *b == b' ');
    let source = match parts.next() {
        // The rest of the line must be ignored.
        Some(b"UNKNOWN") => None,
        Some(b"TCP4") => Some(addresses::<Ipv4Addr>(parts)?),
        Some(b"TCP6") => Some(addresses::<Ipv6Addr>(parts)?),
        _ => return Err(ProxyHeaderError::Protocol),
    };
    Ok(ProxyHeader::Complete {
        source,
        len: newline + 1,
    })
}

/// Parses source, destination and their ports. All four must be valid; the source is returned.
fn addresses<'a, T>(parts: impl Iterator<Item = &'a [u8]>) -> Result<SocketAddr, ProxyHeaderError>
where
    T: str::FromStr + Into<std::net::IpAddr>,
{
    let mut parts = parts.map(|p| str::from_utf8(p).map_err(|_| ProxyHeaderError::Addresses));
    let mut next = || parts.next().unwrap_or(Err(ProxyHeaderError::Addresses));
    let (source, destination) = (next()?, next()?);
    let (source_port, destination_port) = (next()?, next()?);
    let address = |text: &str| {
        text.parse::<T>()
            .map(Into::into)
            .map_err(|_| ProxyHeaderError::Addresses)
    };
    let (source, _) = (address(source)?, address(destination)?);
    let (port, _) = (port(source_port)?, port(destination_port)?);
    match parts.next() {
        None => Ok(SocketAddr::new(source.to_canonical(), port)),
        Some(_) => Err(ProxyHeaderError::Addresses),
    }
}

/// A port in digits, without leading zeros.
fn port(text: &str) -> Result<u16, ProxyHeaderError> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain
        .then(|| text.parse().ok())
        .flatten()
        .ok_or(ProxyHeaderError::Addresses)
}

fn version_2(bytes: &[u8]) -> Result<ProxyHeader, ProxyHeaderError> {
    let local = match bytes.get(V2.len()) {
        None => return Ok(ProxyHeader::Incomplete),
        Some(0x20) => true,
        Some(0x21) => false,
        Some(_) => return Err(ProxyHeaderError::Command),
    };
    let family = match bytes.get(V2.len() + 1) {
        None => return Ok(ProxyHeader::Incomplete),
        // Of a LOCAL connection only the length counts. UNSPEC is what version 1 calls UNKNOWN.
        Some(_) if local => Family::None,
        Some(0x00) => Family::None,
        Some(0x11 | 0x12) => Family::V4,
        Some(0x21 | 0x22) => Family::V6,
        Some(0x31 | 0x32) => Family::Unix,
        Some(_) => return Err(ProxyHeaderError::Family),
    };
    let Some([high, low]) = bytes.get(FIXED - 2..FIXED) else {
        return Ok(ProxyHeader::Incomplete);
    };
    let len = FIXED + usize::from(u16::from_be_bytes([*high, *low]));
    if len - FIXED < family.addresses_len() {
        return Err(ProxyHeaderError::Length);
    }
    let Some(header) = bytes.get(..len) else {
        return Ok(ProxyHeader::Incomplete);
    };
    let source = match family {
        Family::None => None,
        Family::Unix => {
            check_tlvs(header, FIXED + family.addresses_len())?;
            None
        }
        Family::V4 | Family::V6 => {
            check_tlvs(header, FIXED + family.addresses_len())?;
            Some(family.source(&header[FIXED..]).ok_or(ProxyHeaderError::Length)?)
        }
    };
    Ok(ProxyHeader::Complete { source, len })
}

#[derive(Clone, Copy)]
enum Family {
    None,
    V4,
    V6,
    Unix,
}

impl Family {
    /// Two addresses and two ports; of Unix sockets two paths.
    fn addresses_len(self) -> usize {
        match self {
            Family::None => 0,
            Family::V4 => 12,
            Family::V6 => 36,
            Family::Unix => 216,
        }
    }

    /// The first address and the first port of the block.
    fn source(self, block: &[u8]) -> Option<SocketAddr> {
        let (ip, port_at) = match self {
            Family::None | Family::Unix => return None,
            Family::V4 => (Ipv4Addr::from(*block.first_chunk::<4>()?).into(), 8),
            Family::V6 => (Ipv6Addr::from(*block.first_chunk::<16>()?).to_canonical(), 32),
        };
        let port = block.get(port_at..)?.first_chunk()?;
        Some(SocketAddr::new(ip, u16::from_be_bytes(*port)))
    }
}

/// Checks the TLVs from `at` to the header's end: each has a type, a length of two bytes and a value.
fn check_tlvs(header: &[u8], mut at: usize) -> Result<(), ProxyHeaderError> {
    while at < header.len() {
        let [kind, high, low] = *header[at..].first_chunk().ok_or(ProxyHeaderError::Tlv)?;
        let start = at + 3;
        let value = header[start..]
            .get(..usize::from(u16::from_be_bytes([high, low])))
            .ok_or(ProxyHeaderError::Tlv)?;
        at = start + value.len();
        if kind == CRC32C {
            let stated = u32::from_be_bytes(value.try_into().map_err(|_| ProxyHeaderError::Tlv)?);
            // The checksum is computed with zeros in its own place.
            let crc = crc32c::crc32c(&header[..start]);
            let crc = crc32c::crc32c_append(crc, &[0; 4]);
            if crc32c::crc32c_append(crc, &header[at..]) != stated {
                return Err(ProxyHeaderError::Tlv);
            }
        }
    }
    Ok(())
}
