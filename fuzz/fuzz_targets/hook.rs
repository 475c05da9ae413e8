//! libFuzzer's way into [`guard_user::fuzzing::hook`]; nothing else.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| guard_user::fuzzing::hook(bytes));
