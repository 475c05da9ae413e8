//! Loads and attaches the kernel programs, and says which tier that makes.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use aya::{
    Ebpf, EbpfLoader, VerifierLogLevel,
    maps::RingBuf,
    programs::{Lsm, RawTracePoint, links::FdLink},
};
use guard_common::{ABI_VERSION, config::Offsets};

use crate::{
    api::{Feature, Tier},
    kernel::{
        btf::{Btf, VMLINUX},
        hooks::{Attach, GATE, Hook, TRIP, TRIP_BLIND},
        source::Doorbell,
        support,
        tables::Maps,
    },
};

/// The kernel programs, embedded; empty in a build without the BPF toolchain.
static GATE_OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/guard-gate.o"));

/// The same without what needs a kernel with BPF LSM.
static TRIP_OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/guard-trip.o"));

/// What to load.
#[derive(Clone, Debug)]
pub struct Options {
    /// A tier to insist on; `None` picks the best there is.
    pub tier: Option<Tier>,
    /// Size of the hold and grant maps.
    pub max_holds: u32,
    /// Directory in bpffs to pin programs and maps in, so that they outlive the daemon; `None` to not pin.
    pub pin: Option<PathBuf>,
}

/// Loaded, attached, in force.
pub struct Loaded {
    pub kernel: Maps,
    pub notices: Doorbell,
    pub tier: Tier,
    /// Why not the better tier; empty for gate.
    pub reason: String,
    pub features: Vec<Feature>,
    /// What is protected and what is not, one line.
    pub summary: String,
    /// The links that keep the programs attached, and the object they came from.
    pub attached: Attached,
}

/// Keeps the programs attached while it lives.
pub struct Attached {
    _ebpf: Ebpf,
}

/// Loads the best tier this kernel gives, or the one asked for.
///
/// # Errors
/// When neither loads, or the one asked for does not.
pub fn load(options: &Options) -> anyhow::Result<Loaded> {
    if GATE_OBJECT.is_empty() || TRIP_OBJECT.is_empty() {
        bail!("this guardd was built without its kernel programs: build it with `cargo xtask build`");
    }
    match options.tier {
        Some(tier) => load_tier(tier, options, String::new()),
        None => match load_tier(Tier::Gate, options, String::new()) {
            Ok(loaded) => Ok(loaded),
            Err(error) => load_tier(Tier::Trip, options, format!("{error:#}"))
                .with_context(|| format!("neither tier loads; the gate: {error:#}; trip")),
        },
    }
}

fn load_tier(tier: Tier, options: &Options, reason: String) -> anyhow::Result<Loaded> {
    if tier == Tier::Gate && !support::bpf_in_lsm() {
        bail!("`bpf` is not in /sys/kernel/security/lsm: add `lsm=…,bpf` to the kernel command line and start again");
    }
    let blob = std::fs::read(VMLINUX).with_context(|| format!("cannot read {VMLINUX}"))?;
    let btf = Btf::parse(&blob).with_context(|| format!("cannot understand {VMLINUX}"))?;
    let aya_btf = aya::Btf::from_sys_fs().with_context(|| format!("cannot load {VMLINUX}"))?;
    let offsets = resolve(&btf)?;
    // Without bpffs nothing can be pinned; `support::probe` says what that costs.
    let pin = options
        .pin
        .as_deref()
        .filter(|_| support::is_bpffs())
        .map(|directory| directory.join(format!("v{ABI_VERSION}")));
    let mut ebpf = load_object(tier, offsets, options.max_holds, &aya_btf, pin.as_deref(), VerifierLogLevel::DISABLE)?;
    let mut features = support::probe();
    let hooks = match tier {
        Tier::Gate => GATE,
        Tier::Trip => TRIP,
    };
    // All are loaded before the first is attached: a tier that cannot be had leaves nothing behind.
    let mut loaded = Vec::new();
    for hook in hooks {
        match load_program(&mut ebpf, hook, &btf, &aya_btf) {
            Ok(()) => loaded.push(hook),
            Err(error) if hook.is_essential() => return Err(error),
            Err(error) => features.push(missing_hook(hook, &error)),
        }
    }
    let mut attached = Vec::new();
    for hook in loaded {
        match attach(&mut ebpf, hook, pin.as_deref()) {
            Ok(()) => attached.push(hook.program),
            Err(error) if hook.is_essential() => return Err(error),
            Err(error) => features.push(missing_hook(hook, &error)),
        }
    }
    // A hook that has a stand-in is no loss while the stand-in is there.
    features.retain(|feature| {
        let of = |hook: &&Hook| feature.name == feature_name(hook);
        !hooks.iter().find(of).is_some_and(|hook| hook.instead.is_some_and(|other| attached.contains(&other)))
    });
    features.extend(hooks.iter().filter(|hook| attached.contains(&hook.program)).map(|hook| Feature {
        name: feature_name(hook),
        ok: true,
        problem: String::new(),
        cost: String::new(),
        fix: String::new(),
    }));
    if tier == Tier::Trip {
        features.extend(TRIP_BLIND.iter().map(|(name, problem, cost)| Feature {
            name: (*name).to_owned(),
            ok: false,
            problem: (*problem).to_owned(),
            cost: (*cost).to_owned(),
            fix: "the gate tier".to_owned(),
        }));
    }
    let ring = ebpf.take_map("NOTICES").context("the eBPF object has no map NOTICES")?;
    let notices = Doorbell::new(RingBuf::try_from(ring)?).context("cannot listen to the ring buffer")?;
    let mut kernel = Maps::take(&mut ebpf)?;
    kernel.announce(std::process::id()).context("cannot write the state map")?;
    let summary = summary(tier, &reason, hooks, &attached);
    Ok(Loaded { kernel, notices, tier, reason, features, summary, attached: Attached { _ebpf: ebpf } })
}

/// Resolves the members guard reads. A kernel that lacks one is one guard does not understand.
fn resolve(btf: &Btf<'_>) -> anyhow::Result<Offsets> {
    let member = |(of, path): &(&str, &str)| {
        btf.offset(of, path).with_context(|| format!("this kernel has no `{of}.{path}`: guard cannot read its structs"))
    };
    let values = Offsets::MEMBERS.iter().map(member).collect::<anyhow::Result<Vec<u32>>>()?;
    let offsets = Offsets::from_slice(&values).context("the list of members is shorter than the struct")?;
    if !offsets.dentry_part_fits() {
        bail!("this kernel keeps a `dentry`'s parent and name too far apart for guard to read them at once");
    }
    Ok(offsets)
}

fn load_object(
    tier: Tier,
    offsets: Offsets,
    max_holds: u32,
    btf: &aya::Btf,
    pin: Option<&Path>,
    verifier_log: VerifierLogLevel,
) -> anyhow::Result<Ebpf> {
    /// Maps that must outlive the daemon; the others are caches and memory of a single run.
    const PINNED: [&str; 14] = [
        "HOLDS",
        "TEXTS",
        "GRANTS",
        "NOTICES",
        "TASKS",
        "AGENTS",
        "PATHS",
        "NAMES",
        "NAME_FILTER",
        "PORTS",
        "ADDRESSES",
        "COUNTS",
        "STATE",
        "CREATED",
    ];
    let trip = u32::from(tier == Tier::Trip);
    let mut loader = EbpfLoader::new();
    loader
        .btf(btf)
        .verifier_log_level(verifier_log)
        .override_global("OFFSETS", &offsets, true)
        .override_global("TRIP", &trip, true)
        .map_max_entries("HOLDS", max_holds)
        .map_max_entries("TEXTS", max_holds)
        .map_max_entries("GRANTS", max_holds);
    if let Some(directory) = pin {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot create {}: is bpffs mounted there?", directory.display()))?;
        for name in PINNED {
            loader.map_pin_path(name, directory.join(name));
        }
    }
    let object = match tier {
        Tier::Gate => GATE_OBJECT,
        Tier::Trip => TRIP_OBJECT,
    };
    loader.load(object).context("cannot load the eBPF object")
}

/// Has the kernel verify one program.
fn load_program(ebpf: &mut Ebpf, hook: &Hook, btf: &Btf<'_>, aya_btf: &aya::Btf) -> anyhow::Result<()> {
    let program =
        ebpf.program_mut(hook.program).with_context(|| format!("the eBPF object has no program {}", hook.program))?;
    match hook.attach {
        Attach::Lsm(name) => {
            if !btf.has_function(&format!("bpf_lsm_{name}")) {
                bail!("this kernel has no LSM hook {name}");
            }
            let program: &mut Lsm = program.try_into()?;
            program.load(name, aya_btf).with_context(|| format!("cannot load the LSM program {name}"))
        }
        Attach::RawTracepoint(name) => {
            let program: &mut RawTracePoint = program.try_into()?;
            program.load().with_context(|| format!("cannot load the tracepoint program {name}"))
        }
    }
}

/// Attaches one loaded program, and pins its link over the one an earlier daemon left.
fn attach(ebpf: &mut Ebpf, hook: &Hook, pin: Option<&Path>) -> anyhow::Result<()> {
    let program =
        ebpf.program_mut(hook.program).with_context(|| format!("the eBPF object has no program {}", hook.program))?;
    let link: FdLink = match hook.attach {
        Attach::Lsm(name) => {
            let program: &mut Lsm = program.try_into()?;
            let link = program.attach().with_context(|| format!("cannot attach the LSM program {name}"))?;
            program.take_link(link)?.into()
        }
        Attach::RawTracepoint(name) => {
            let program: &mut RawTracePoint = program.try_into()?;
            let link = program.attach(name).with_context(|| format!("cannot attach to the tracepoint {name}"))?;
            program.take_link(link)?.into()
        }
    };
    match pin {
        Some(directory) => pin_link(link, &directory.join(format!("link_{}", hook.program))),
        None => {
            // The link lives as long as the process: nothing detaches it before.
            std::mem::forget(link);
            Ok(())
        }
    }
}

/// Pins a link under a name; one that was there is replaced after the new one is attached, so that there is no
/// moment without.
fn pin_link(link: FdLink, path: &Path) -> anyhow::Result<()> {
    // bpffs takes no name with a dot.
    let fresh = path.with_file_name(format!("new_{}", path.file_name().unwrap_or_default().to_string_lossy()));
    if fresh.exists() {
        std::fs::remove_file(&fresh).with_context(|| format!("cannot remove {}", fresh.display()))?;
    }
    let pinned = link.pin(&fresh).with_context(|| format!("cannot pin {}", fresh.display()))?;
    if path.exists() {
        std::fs::remove_file(path).with_context(|| format!("cannot replace {}", path.display()))?;
    }
    std::fs::rename(&fresh, path).with_context(|| format!("cannot replace {}", path.display()))?;
    std::mem::forget(pinned);
    Ok(())
}

/// Takes everything down that was pinned below `directory`.
///
/// # Errors
/// When a pin cannot be removed.
pub fn teardown(directory: &Path) -> anyhow::Result<u32> {
    let mut removed = 0;
    let versions = match std::fs::read_dir(directory) {
        Ok(versions) => versions,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", directory.display())),
    };
    for version in versions {
        let version = version?.path();
        for pin in std::fs::read_dir(&version)? {
            let pin = pin?.path();
            std::fs::remove_file(&pin).with_context(|| format!("cannot remove {}", pin.display()))?;
            removed += 1;
        }
        std::fs::remove_dir(&version).with_context(|| format!("cannot remove {}", version.display()))?;
    }
    std::fs::remove_dir(directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    Ok(removed)
}

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
    for hook in GATE.iter().chain(TRIP) {
        if stats.iter().any(|seen| seen.program == hook.program) {
            continue;
        }
        let mut entry = ProgramStats {
            program: hook.program.to_owned(),
            error: String::new(),
            hook_missing: matches!(hook.attach, Attach::Lsm(name) if !btf.has_function(&format!("bpf_lsm_{name}"))),
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

fn feature_name(hook: &Hook) -> String {
    match hook.attach {
        Attach::Lsm(name) => format!("lsm/{name}"),
        Attach::RawTracepoint(name) => format!("tracepoint/{name}"),
    }
}

fn missing_hook(hook: &Hook, error: &anyhow::Error) -> Feature {
    Feature {
        name: feature_name(hook),
        ok: false,
        problem: format!("{error:#}"),
        cost: hook.cost.to_owned(),
        fix: "a newer kernel".to_owned(),
    }
}

/// One line: what is protected and what is not.
fn summary(tier: Tier, reason: &str, hooks: &[Hook], attached: &[&str]) -> String {
    let lost: Vec<&str> = hooks
        .iter()
        .filter(|hook| !attached.contains(&hook.program))
        .filter(|hook| !hook.instead.is_some_and(|other| attached.contains(&other)))
        .map(|hook| hook.cost)
        .collect();
    let lost = if lost.is_empty() { String::new() } else { format!("; missing: {}", lost.join("; ")) };
    match tier {
        Tier::Gate => {
            format!("gate: operations are held before they take effect, by {} kernel hooks{lost}", attached.len())
        }
        Tier::Trip => format!(
            "trip: programs stop before their first instruction, anything else only after its first effect{lost}; \
             no gate because: {reason}"
        ),
    }
}
