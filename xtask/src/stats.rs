//! `cargo xtask ebpf`: what each kernel's verifier makes of each program. The figures come from
//! `guardd --probe-load`, which loads every program once and prints a JSON line for each.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::{
    build, setup,
    vm::{
        initramfs::{self, Boot},
        kernel::{self, Series},
        machine::{Machine, Screen},
        root,
    },
};

/// A line of `guardd --probe-load`.
#[derive(Deserialize)]
struct Loaded {
    program: String,
    /// Empty when it loaded.
    error: String,
    /// The kernel is too old for the hook, which is no failure.
    hook_missing: bool,
    translated_bytes: u32,
    verified_instructions: u32,
}

/// Prints a table for the named kernels, or all when none is named; an error when a program does not load on a kernel that
/// has its hook.
pub(crate) fn print(named: &[Series]) -> Result<()> {
    let binaries = build::for_vm(true)?;
    setup::vm_tools()?;
    let root = root::image()?;
    let mut table: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut absent, mut refused, mut sums) = (Vec::new(), Vec::new(), Vec::new());
    for series in Series::TESTED.into_iter().filter(|series| series.is_wanted(named)) {
        let kernel = kernel::fetch(series)?;
        let argv = ["guardd", "--probe-load"].map(str::to_owned).to_vec();
        let initramfs = initramfs::pack(&kernel, &Boot::new(argv, false), &binaries)?;
        let machine = Machine {
            kernel: &kernel,
            root: &root,
            initramfs: initramfs.path(),
            icount: false,
            processors: 2,
            memory: 2048,
            timeout: Duration::from_secs(900),
            append: "",
            verbose: false,
        };
        let mut programs = BTreeMap::new();
        let mut take = |line: &str| {
            if line.starts_with('{') {
                let loaded: Loaded = serde_json::from_str(line).with_context(|| format!("not a program: {line}"))?;
                // A boot that died and began again says it twice; the later word counts.
                programs.insert(loaded.program.clone(), loaded);
            } else {
                eprintln!("{line}");
            }
            Ok(())
        };
        let code = machine.boot(Screen::Lines(&mut take))?;
        if code != 0 || programs.is_empty() {
            bail!("guardd --probe-load on {} ended with {code} and named {} programs", kernel.release, programs.len());
        }
        let sum: u64 = programs.values().map(|loaded| u64::from(loaded.verified_instructions)).sum();
        sums.push(format!("{series}: {sum}"));
        for (program, loaded) in programs {
            let cell = if loaded.error.is_empty() {
                format!("{} B, {}", loaded.translated_bytes, loaded.verified_instructions)
            } else {
                let list = if loaded.hook_missing { &mut absent } else { &mut refused };
                list.push(format!("{program} on {series}: {}", loaded.error));
                "not loaded".to_owned()
            };
            table.entry(program).or_default().push(format!("{series}: {cell}"));
        }
    }
    println!("program: size in bytes, instructions the verifier walked");
    for (program, cells) in table {
        println!("{program:28} {}", cells.iter().map(|cell| format!("{cell:28}")).collect::<String>().trim_end());
    }
    println!("instructions walked in all: {}", sums.join(", "));
    for line in absent {
        println!("not loaded: {line}");
    }
    if !refused.is_empty() {
        bail!("the verifier refused:\n{}", refused.join("\n"));
    }
    Ok(())
}
