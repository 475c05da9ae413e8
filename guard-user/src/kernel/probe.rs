//! Loads every kernel program once, attached to nothing, to tell what the verifier makes of it.

use anyhow::Context as _;
use aya::{
    Ebpf, VerifierLogLevel,
    programs::{Lsm, RawTracePoint},
};

use super::{
    btf::{Btf, VMLINUX},
    hooks::{Attach, CALL_OVER, GATE, Hook, TRIP},
    load::{load_object, load_program, resolve},
};
use crate::api::Tier;

/// What the verifier made of one program.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ProgramStats {
    pub program: String,
    /// Empty when it loaded.
    pub error: String,
    /// It did not load because this kernel has no such hook.
    pub hook_missing: bool,
    /// Bytes of translated instructions.
    pub translated_bytes: u32,
    /// Instructions the verifier walked.
    pub verified_instructions: u32,
}

/// Loads every program of both tiers without attaching any.
///
/// # Errors
/// When the object itself cannot be loaded.
pub fn probe_programs() -> anyhow::Result<Vec<ProgramStats>> {
    let blob = std::fs::read(VMLINUX).with_context(|| format!("cannot read {VMLINUX}"))?;
    let btf = Btf::parse(&blob).with_context(|| format!("cannot understand {VMLINUX}"))?;
    let aya_btf = aya::Btf::from_sys_fs()?;
    let offsets = resolve(&btf)?;
    let mut ebpf = load_object(Tier::Gate, offsets, 64, &aya_btf, None, VerifierLogLevel::DEBUG)?;
    let mut stats: Vec<ProgramStats> = Vec::new();
    for hook in GATE.iter().chain(TRIP).chain([&CALL_OVER]) {
        if stats.iter().any(|seen| seen.program == hook.program) {
            continue;
        }
        let mut entry = ProgramStats {
            program: hook.program.to_owned(),
            error: String::new(),
            hook_missing: matches!(hook.attach, Attach::Lsm(name) if !btf.has_hook(name)),
            translated_bytes: 0,
            verified_instructions: 0,
        };
        match load_program(&mut ebpf, hook, &btf, &aya_btf).and_then(|()| info(&mut ebpf, hook)) {
            Ok(info) => {
                entry.translated_bytes = info.size_translated().unwrap_or(0);
                entry.verified_instructions = info.verified_instruction_count().unwrap_or(0);
            }
            Err(error) => entry.error = format!("{error:#}"),
        }
        stats.push(entry);
    }
    Ok(stats)
}

/// What the kernel says of a loaded program.
fn info(ebpf: &mut Ebpf, hook: &Hook) -> anyhow::Result<aya::programs::ProgramInfo> {
    let program = ebpf.program_mut(hook.program).context("the eBPF object has no such program")?;
    match hook.attach {
        Attach::Lsm(_) => Ok(TryInto::<&mut Lsm>::try_into(program)?.info()?),
        Attach::RawTracepoint(_) => Ok(TryInto::<&mut RawTracePoint>::try_into(program)?.info()?),
    }
}
