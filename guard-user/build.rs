//! Embeds the eBPF object. `cargo xtask build` names it in `GUARD_EBPF_OBJECT`; without that an empty stub is
//! embedded, so that `cargo check` and the host tests need no BPF toolchain, and guardd refuses to start.

use std::{env, fs, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=GUARD_EBPF_OBJECT");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("guard-ebpf.o");
    match env::var_os("GUARD_EBPF_OBJECT") {
        Some(object) => {
            println!("cargo::rerun-if-changed={}", object.display());
            fs::copy(&object, &out)
                .unwrap_or_else(|error| panic!("cannot copy the eBPF object {}: {error}", object.display()));
        }
        None => fs::write(&out, b"").expect("OUT_DIR is writable"),
    }
}
