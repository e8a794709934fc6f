//! Feeds libFuzzer's bytes to [`bip_fuzz::http_tracker_request`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bip_fuzz::http_tracker_request(data));
