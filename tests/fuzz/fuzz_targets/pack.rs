#![no_main]

#[path = "../targets/pack.rs"]
mod pack;

libfuzzer_sys::fuzz_target!(|data: &[u8]| pack::run(data));
