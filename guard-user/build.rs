//! Embeds the eBPF objects. `cargo xtask build` names them in `GUARD_EBPF_GATE` and `GUARD_EBPF_TRIP`; without that
//! empty stubs are embedded, so that `cargo check` and the host tests need no BPF toolchain, and guardd refuses to start.

use std::{env, fs, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    embed("GUARD_EBPF_GATE", "guard-gate.o");
    embed("GUARD_EBPF_TRIP", "guard-trip.o");
}

fn embed(variable: &str, name: &str) {
    println!("cargo::rerun-if-env-changed={variable}");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join(name);
    match env::var_os(variable) {
        Some(object) => {
            println!("cargo::rerun-if-changed={}", object.display());
            fs::copy(&object, &out)
                .unwrap_or_else(|error| panic!("cannot copy the eBPF object {}: {error}", object.display()));
        }
        None => fs::write(&out, b"").expect("OUT_DIR is writable"),
    }
}
