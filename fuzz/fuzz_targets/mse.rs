//! Feeds libFuzzer's bytes to [`bip_fuzz::mse`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bip_fuzz::mse(data));
