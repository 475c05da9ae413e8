//! The program that runs inside the test VM.

fn main() {}
