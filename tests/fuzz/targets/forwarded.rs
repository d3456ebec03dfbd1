#![no_main]

mod request;

use gatecount_fuzz::client::forwarded;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    request::check("forwarded", bytes);
    // Each address costs a `for=` and at least two characters.
    assert!(forwarded::addresses(bytes).count() <= bytes.len() / 6);
});
