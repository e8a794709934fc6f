//! Feeds libFuzzer's bytes to [`bip_fuzz::udp_tracker`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bip_fuzz::udp_tracker(data));
