#![no_main]

#[path = "../targets/component.rs"]
mod component;

libfuzzer_sys::fuzz_target!(|data: &[u8]| component::run(data));
