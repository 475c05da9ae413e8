//! `cargo xtask`: parses the command and calls its file.

fn main() {}
