#![no_main]

mod request;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| request::check("x-forwarded-for", bytes));
