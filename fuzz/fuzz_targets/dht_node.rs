//! Feeds libFuzzer's bytes to [`bip_fuzz::dht_node`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bip_fuzz::dht_node(data));
