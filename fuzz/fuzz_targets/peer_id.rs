//! Feeds libFuzzer's bytes to [`bip_fuzz::peer_id`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bip_fuzz::peer_id(data));
