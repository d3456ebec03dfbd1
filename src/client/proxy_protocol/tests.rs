//! Lines and blocks, right and wrong, whole and in pieces.

use super::*;

fn v1(line: &str) -> Result<ProxyHeader, ProxyHeaderError> {
    parse(line.as_bytes())
}

fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let mut bytes = V2.to_vec();
    bytes.extend([command, family]);
    bytes.extend((block.len() as u16).to_be_bytes());
    bytes.extend(block);
    bytes
}

/// 192.0.2.1:123 to 192.0.2.2:80.
const BLOCK: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 0, 123, 0, 80];

#[test]
fn a_line_gives_its_source() {
    for (line, source) in [
        ("PROXY TCP4 1.2.3.4 5.6.7.8 65535 0\r\n", Some("1.2.3.4:65535")),
        ("PROXY TCP6 2001:dB8::1 ::1 0 1\r\n", Some("[2001:db8::1]:0")),
        ("PROXY TCP6 ::ffff:1.2.3.4 ::1 5 1\r\n", Some("1.2.3.4:5")),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN ffff::1 1.2.3 99999 x \r y\r\n", None),
    ] {
        let header = ProxyHeader::Complete {
            source: source.map(|s| s.parse().unwrap()),
            len: line.len(),
        };
        assert_eq!(v1(line), Ok(header), "{line:?}");
        assert_eq!(v1(&format!("{line}GET / HTTP/1.1\r\n")), Ok(header), "{line:?}");
    }
}

#[test]
fn a_line_that_is_not_to_the_letter_is_an_error() {
    for (line, error) in [
        ("GET / HTTP/1.1\r\n", ProxyHeaderError::NotProxy),
        ("proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n", ProxyHeaderError::NotProxy),
        ("PROXY\tTCP4 1.2.3.4 5.6.7.8 1 2\r\n", ProxyHeaderError::NotProxy),
        ("PROXY\r\n", ProxyHeaderError::NotProxy),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", ProxyHeaderError::Line),
        ("PROXY UNKNOWN\nGET /\r\n", ProxyHeaderError::Line),
        ("PROXY \r\n", ProxyHeaderError::Protocol),
        ("PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n", ProxyHeaderError::Protocol),
        ("PROXY unknown\r\n", ProxyHeaderError::Protocol),
        ("PROXY UNKNOWNS\r\n", ProxyHeaderError::Protocol),
        ("PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n", ProxyHeaderError::Protocol),
        ("PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n", ProxyHeaderError::Addresses),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n", ProxyHeaderError::Addresses),
        (
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
            ProxyHeaderError::Addresses,
        ),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", ProxyHeaderError::Addresses),
        (
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
            ProxyHeaderError::Addresses,
        ),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", ProxyHeaderError::Addresses),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n", ProxyHeaderError::Addresses),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n", ProxyHeaderError::Addresses),
        ("PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n", ProxyHeaderError::Addresses),
        (
            "PROXY TCP4 1.2.3.4 256.6.7.8 1 2\r\n",
            ProxyHeaderError::Addresses,
        ),
        ("PROXY TCP4 ::1 ::1 1 2\r\n", ProxyHeaderError::Addresses),
        ("PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", ProxyHeaderError::Addresses),
        ("PROXY TCP6 [::1] ::1 1 2\r\n", ProxyHeaderError::Addresses),
        ("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", ProxyHeaderError::Addresses),
        (
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\r\n",
            ProxyHeaderError::Addresses,
        ),
        ("PROXY TCP4\r\n", ProxyHeaderError::Addresses),
    ] {
        assert_eq!(v1(line), Err(error), "{line:?}");
    }
}

#[test]
fn a_line_has_107_bytes_at_most() {
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(91));
    assert_eq!(longest.len(), MAX_LINE);
    assert!(matches!(v1(&longest), Ok(ProxyHeader::Complete { len: 107, .. })));
    assert_eq!(
        v1(&format!("PROXY UNKNOWN {}\r\n", "x".repeat(92))),
        Err(ProxyHeaderError::Line)
    );
    assert_eq!(
        v1(&format!("PROXY UNKNOWN {}", "x".repeat(92))),
        Ok(ProxyHeader::Incomplete)
    );
    assert_eq!(
        v1(&format!("PROXY UNKNOWN {}", "x".repeat(93))),
        Err(ProxyHeaderError::Line)
    );
}

#[test]
fn a_binary_header_gives_its_source() {
    let v6: Vec<u8> = [[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]; 2].concat();
    let v6 = [&v6[..], &[0, 123, 0, 80]].concat();
    let mut mapped = v6.clone();
    mapped[..16].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4]);
    for (command, family, block, source) in [
        (0x21, 0x11, BLOCK.to_vec(), Some("192.0.2.1:123")),
        (0x21, 0x12, BLOCK.to_vec(), Some("192.0.2.1:123")),
        (0x21, 0x21, v6.clone(), Some("[2001:db8::1]:123")),
        (0x21, 0x22, v6, Some("[2001:db8::1]:123")),
        (0x21, 0x21, mapped, Some("1.2.3.4:123")),
        (
            0x21,
            0x11,
            [&BLOCK[..], &[4, 0, 2, 9, 9, 0xea, 0, 0]].concat(),
            Some("192.0.2.1:123"),
        ),
        (0x21, 0x31, vec![b'/'; 216], None),
        (0x21, 0x32, [&[0; 216][..], &[4, 0, 0]].concat(), None),
        (0x21, 0x00, vec![], None),
        (0x21, 0x00, vec![1, 2, 3], None),
        (0x20, 0x00, vec![], None),
        (0x20, 0x11, BLOCK.to_vec(), None),
        (0x20, 0xff, vec![1], None),
    ] {
        let bytes = v2(command, family, &block);
        let header = ProxyHeader::Complete {
            source: source.map(|s| s.parse().unwrap()),
            len: bytes.len(),
        };
        assert_eq!(parse(&bytes), Ok(header), "{command:x} {family:x}");
    }
}

#[test]
fn a_binary_header_with_anything_unknown_is_an_error() {
    for (command, family, block, error) in [
        (0x11, 0x11, &BLOCK[..], ProxyHeaderError::Command),
        (0x22, 0x11, &BLOCK, ProxyHeaderError::Command),
        (0x31, 0x11, &BLOCK, ProxyHeaderError::Command),
        (0x21, 0x10, &BLOCK, ProxyHeaderError::Family),
        (0x21, 0x13, &BLOCK, ProxyHeaderError::Family),
        (0x21, 0x01, &BLOCK, ProxyHeaderError::Family),
        (0x21, 0x30, &[0; 216], ProxyHeaderError::Family),
        (0x21, 0x33, &[0; 216], ProxyHeaderError::Family),
        (0x21, 0x41, &BLOCK, ProxyHeaderError::Family),
        (0x21, 0x41, &BLOCK[..4], ProxyHeaderError::Family),
        (0x21, 0x11, &BLOCK[..11], ProxyHeaderError::Length),
        (0x21, 0x11, &[], ProxyHeaderError::Length),
        (0x21, 0x21, &[0; 35], ProxyHeaderError::Length),
        (0x21, 0x31, &[0; 215], ProxyHeaderError::Length),
        (0x21, 0x31, &[0; 217], ProxyHeaderError::Tlv),
    ] {
        assert_eq!(
            parse(&v2(command, family, block)),
            Err(error),
            "{command:x} {family:x}"
        );
    }
}

#[test]
fn tlvs_fill_their_space_exactly() {
    for tlvs in [
        &[4][..],
        &[4, 0],
        &[4, 0, 1],
        &[4, 0, 2, 9],
        &[4, 0, 0, 4],
        &[3, 0, 3, 1, 1, 1],
    ] {
        assert_eq!(
            parse(&v2(0x21, 0x11, &[&BLOCK[..], tlvs].concat())),
            Err(ProxyHeaderError::Tlv),
            "{tlvs:?}"
        );
    }
}

#[test]
fn a_checksum_must_hold() {
    let tlvs = [&BLOCK[..], &[4, 0, 1, 9, CRC32C, 0, 4, 0, 0, 0, 0, 4, 0, 1, 8]].concat();
    let mut bytes = v2(0x21, 0x11, &tlvs);
    let at = bytes.len() - 8;
    let crc = crc32c::crc32c(&bytes).to_be_bytes();
    bytes[at..at + 4].copy_from_slice(&crc);
    assert!(matches!(
        parse(&bytes),
        Ok(ProxyHeader::Complete { source: Some(_), .. })
    ));
    // All but the type of the checksum itself: another type is no checksum.
    for flipped in (FIXED..bytes.len()).filter(|n| *n != at - 3) {
        let mut bad = bytes.clone();
        bad[flipped] ^= 1;
        assert_eq!(parse(&bad), Err(ProxyHeaderError::Tlv), "byte {flipped}");
    }
}

#[test]
fn the_answer_does_not_depend_on_the_split() {
    for bytes in [
        v2(0x21, 0x11, &BLOCK),
        v2(0x20, 0, &[1, 2]),
        b"PROXY TCP6 ::1 ::1 1 2\r\n".to_vec(),
    ] {
        for cut in 0..bytes.len() {
            assert_eq!(
                parse(&bytes[..cut]),
                Ok(ProxyHeader::Incomplete),
                "{cut} of {bytes:?}"
            );
        }
        assert!(matches!(parse(&bytes), Ok(ProxyHeader::Complete { len, .. }) if len == bytes.len()));
    }
}
