//! Feeds libFuzzer's bytes to [`bip_fuzz::tracker_server`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bip_fuzz::tracker_server(data));
