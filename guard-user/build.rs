//! Embeds the eBPF objects, compressed: a fifth of what they are. `cargo xtask build` names them in `GUARD_EBPF_GATE` and `GUARD_EBPF_TRIP`; without that
//! empty stubs are embedded, so that `cargo check` and the host tests need no BPF toolchain, and guardd refuses to start.

use std::{env, fs, io::Write as _, path::PathBuf};

use flate2::{Compression, write::GzEncoder};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    embed("GUARD_EBPF_GATE", "guard-gate.o.gz");
    embed("GUARD_EBPF_TRIP", "guard-trip.o.gz");
}

fn embed(variable: &str, name: &str) {
    println!("cargo::rerun-if-env-changed={variable}");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join(name);
    match env::var_os(variable) {
        Some(object) => {
            println!("cargo::rerun-if-changed={}", object.display());
            let bytes = fs::read(&object)
                .unwrap_or_else(|error| panic!("cannot read the eBPF object {}: {error}", object.display()));
            let mut compressed = GzEncoder::new(Vec::new(), Compression::best());
            compressed.write_all(&bytes).expect("memory takes it");
            fs::write(&out, compressed.finish().expect("memory takes it")).expect("OUT_DIR is writable");
        }
        None => fs::write(&out, b"").expect("OUT_DIR is writable"),
    }
}
