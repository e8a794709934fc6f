//! Feeds libFuzzer's bytes to [`bip_fuzz::dht_state`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bip_fuzz::dht_state(data));
