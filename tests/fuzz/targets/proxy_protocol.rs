#![no_main]

use gatecount_fuzz::client::proxy_protocol::{MAX_LEN, ProxyHeader, parse};

// The first two bytes say where the rest is split.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((split, bytes)) = bytes.split_first_chunk() else {
        return;
    };
    let whole = parse(bytes);
    let begun = parse(&bytes[..usize::from(u16::from_be_bytes(*split)).min(bytes.len())]);
    assert!(begun == whole || begun == Ok(ProxyHeader::Incomplete));
    if let Ok(ProxyHeader::Complete { len, .. }) = whole {
        assert!(len <= bytes.len() && len <= MAX_LEN);
        assert_eq!(parse(&bytes[..len]), whole);
    }
});
