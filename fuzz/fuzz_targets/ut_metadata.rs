//! Feeds libFuzzer's bytes to [`bip_fuzz::ut_metadata`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bip_fuzz::ut_metadata(data));
