//! Feeds libFuzzer's bytes to [`bip_fuzz::krpc`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bip_fuzz::krpc(data));
