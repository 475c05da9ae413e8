//! Loads and attaches the kernel programs, and says which tier that makes.

use std::{io::Read as _, path::PathBuf};

use anyhow::{Context as _, bail};
use aya::{
    Ebpf, EbpfLoader, VerifierLogLevel,
    maps::{Map, RingBuf},
    programs::{Lsm, RawTracePoint, links::FdLink},
};
use flate2::read::GzDecoder;
use guard_common::{config::Offsets, notice::Notice};
use sha2::{Digest as _, Sha256};

use crate::{
    api::{Feature, Tier},
    execution::Execution,
    kernel::{
        btf::{Btf, VMLINUX},
        hooks::{Attach, CALL_OVER, GATE, Hook, TRIP, TRIP_BLIND},
        listen::Listener,
        pins::{self, Earlier, Pins},
        source::{self, Source},
        support,
        tables::Maps,
    },
};

/// The kernel programs, embedded and compressed; empty in a build without the BPF toolchain.
static GATE_OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/guard-gate.o.gz"));

/// The same without what needs a kernel with BPF LSM.
static TRIP_OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/guard-trip.o.gz"));

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
    pub notices: Source<Notice>,
    pub executions: Source<Execution>,
    pub tier: Tier,
    /// Why not the better tier; empty for gate.
    pub reason: String,
    pub features: Vec<Feature>,
    /// What is protected and what is not, one line.
    pub summary: String,
    /// The maps hold nothing of an earlier guardd.
    pub fresh: bool,
    /// Programs of older versions, at work beside these until they are ended.
    pub earlier: Vec<Earlier>,
}

/// Gives a map by its name.
type Lookup = Box<dyn FnMut(&str) -> anyhow::Result<Map>>;

/// Programs at work, their maps by name, and what they are not.
struct AtWork {
    maps: Lookup,
    attached: Vec<&'static str>,
    missing: Vec<Feature>,
}

/// Loads the best tier this kernel gives, or the one asked for.
///
/// # Errors
/// When neither loads, or the one asked for does not.
pub fn load(options: &Options) -> anyhow::Result<Loaded> {
    if GATE_OBJECT.is_empty() || TRIP_OBJECT.is_empty() {
        bail!("this guardd was built without its kernel programs: build it with `cargo xtask build`");
    }
    // Before anything is changed: it may be a reason not to start.
    let earlier = options.pin.as_deref().map(pins::earlier).transpose()?.unwrap_or_default();
    let loaded = match options.tier {
        Some(tier) => load_tier(tier, options, String::new()),
        None => match load_tier(Tier::Gate, options, String::new()) {
            Ok(loaded) => Ok(loaded),
            Err(error) => load_tier(Tier::Trip, options, format!("{error:#}"))
                .with_context(|| format!("neither tier loads; the gate: {error:#}; trip")),
        },
    };
    Ok(Loaded { earlier, ..loaded? })
}

fn load_tier(tier: Tier, options: &Options, reason: String) -> anyhow::Result<Loaded> {
    if tier == Tier::Gate && !support::bpf_in_lsm() {
        bail!("`bpf` is not in /sys/kernel/security/lsm: add `lsm=…,bpf` to the kernel command line and start again");
    }
    let blob = std::fs::read(VMLINUX).with_context(|| format!("cannot read {VMLINUX}"))?;
    let btf = Btf::parse(&blob).with_context(|| format!("cannot understand {VMLINUX}"))?;
    let offsets = resolve(&btf)?;
    // Without bpffs nothing can be pinned; `support::probe` says what that costs.
    let pins = options.pin.as_deref().filter(|_| support::is_bpffs()).map(Pins::below).transpose()?;
    let fresh = pins.as_ref().is_none_or(Pins::is_fresh);
    let object = digest(tier, offsets)?;
    if let Some(pins) = &pins {
        pins.check(&bytes(tier)?, options.max_holds)?;
    }
    let hooks = match tier {
        Tier::Gate => GATE,
        Tier::Trip => TRIP,
    };
    let present = pins.as_ref().filter(|pins| pins.object() == Some(object));
    let work = match present.and_then(|pins| go_on(pins, hooks, &btf)) {
        Some(work) => work,
        None => {
            // Only who loads programs needs it, and reading it is a good part of a start.
            let aya_btf = aya::Btf::from_sys_fs().with_context(|| format!("cannot load {VMLINUX}"))?;
            let ebpf =
                load_object(tier, offsets, options.max_holds, &aya_btf, pins.as_ref(), VerifierLogLevel::DISABLE)?;
            let work = begin(tier, ebpf, hooks, &btf, &aya_btf, pins.as_ref())?;
            if let Some(pins) = &pins {
                pins.set_object(object)?;
            }
            work
        }
    };
    let AtWork { mut maps, attached, missing } = work;
    let mut features = support::probe();
    // A hook that has a stand-in is no loss while the stand-in is there.
    features.extend(missing.into_iter().filter(|feature| {
        let of = |hook: &&Hook| feature.name == feature_name(hook);
        !hooks.iter().find(of).is_some_and(|hook| hook.instead.is_some_and(|other| attached.contains(&other)))
    }));
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
    let notices = Source::new(RingBuf::try_from(maps("NOTICES")?)?, source::notice);
    let notices = notices.context("cannot listen to the ring buffer")?;
    let executions = Source::new(RingBuf::try_from(maps("EXECUTIONS")?)?, Execution::decode);
    let executions = executions.context("cannot listen to the ring buffer of execs")?;
    let listener = match (tier, &pins) {
        (Tier::Gate, Some(pins)) => Some(Listener::start(pins.program(&CALL_OVER)?, maps("LISTENING")?.try_into()?)?),
        (Tier::Gate, None) | (Tier::Trip, _) => None,
    };
    let mut kernel = Maps::take(&mut maps, listener)?;
    kernel.announce(std::process::id()).context("cannot write the state map")?;
    let summary = summary(tier, &reason, hooks, &attached);
    Ok(Loaded { kernel, notices, executions, tier, reason, features, summary, fresh, earlier: Vec::new() })
}

/// The programs of an earlier guardd, when they are all there: the kernel has verified them once. Anything in doubt is
/// loaded anew.
fn go_on(pins: &Pins, hooks: &'static [Hook], btf: &Btf<'_>) -> Option<AtWork> {
    let (mut attached, mut missing) = (Vec::new(), Vec::new());
    for hook in hooks {
        match (pins.hold_on(hook), known(hook, btf)) {
            (Ok(()), _) => attached.push(hook.program),
            (Err(_), Err(error)) => missing.push(missing_hook(hook, &error)),
            (Err(error), Ok(())) => {
                tracing::warn!("the programs of the last run are not all there, so they are loaded again: {error:#}");
                return None;
            }
        }
    }
    let pins = pins.clone();
    tracing::info!("the kernel programs of the last run are at work, and stay");
    Some(AtWork { maps: Box::new(move |name| pins.map(name)), attached, missing })
}

/// Verifies and attaches the programs of a loaded object.
fn begin(
    tier: Tier,
    mut ebpf: Ebpf,
    hooks: &'static [Hook],
    btf: &Btf<'_>,
    aya_btf: &aya::Btf,
    pins: Option<&Pins>,
) -> anyhow::Result<AtWork> {
    // All are loaded before the first is attached: a tier that cannot be had leaves nothing behind.
    let (mut loaded, mut attached, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for hook in hooks {
        match load_program(&mut ebpf, hook, btf, aya_btf) {
            Ok(()) => loaded.push(hook),
            Err(error) if hook.is_essential() => return Err(error),
            Err(error) => missing.push(missing_hook(hook, &error)),
        }
    }
    if let Some(pins) = pins {
        pins.set_object(0)?;
    }
    for hook in loaded {
        match attach(&mut ebpf, hook, pins) {
            Ok(()) => attached.push(hook.program),
            Err(error) if hook.is_essential() => return Err(error),
            Err(error) => missing.push(missing_hook(hook, &error)),
        }
    }
    if let Some(pins) = pins {
        pins.leave_only(hooks)?;
        if tier == Tier::Gate {
            load_program(&mut ebpf, &CALL_OVER, btf, aya_btf)?;
            let program = ebpf.program_mut(CALL_OVER.program).context("the eBPF object has no such program")?;
            pins.keep_program(&CALL_OVER, program.try_into()?)?;
        }
    }
    let maps = move |name: &str| ebpf.take_map(name).with_context(|| format!("the eBPF object has no map {name}"));
    Ok(AtWork { maps: Box::new(maps), attached, missing })
}

/// Which programs these are: all that goes into them.
fn digest(tier: Tier, offsets: Offsets) -> anyhow::Result<u64> {
    let mut hash = Sha256::new();
    hash.update(bytes(tier)?);
    hash.update(format!("{offsets:?}"));
    let hash = hash.finalize();
    // 0 stands for none.
    Ok(hash.first_chunk().map_or(0, |first| u64::from_le_bytes(*first)).max(1))
}

/// The object of a tier. It is needed a few times at the start, and then no more.
fn bytes(tier: Tier) -> anyhow::Result<Vec<u8>> {
    let compressed = match tier {
        Tier::Gate => GATE_OBJECT,
        Tier::Trip => TRIP_OBJECT,
    };
    let mut bytes = Vec::new();
    GzDecoder::new(compressed).read_to_end(&mut bytes).context("the embedded eBPF object is damaged")?;
    Ok(bytes)
}

/// Resolves the members guard reads. A kernel that lacks one is one guard does not understand.
pub(super) fn resolve(btf: &Btf<'_>) -> anyhow::Result<Offsets> {
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

pub(super) fn load_object(
    tier: Tier,
    offsets: Offsets,
    max_holds: u32,
    btf: &aya::Btf,
    pins: Option<&Pins>,
    verifier_log: VerifierLogLevel,
) -> anyhow::Result<Ebpf> {
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
    if let Some(pins) = pins {
        for name in pins::MAPS {
            loader.map_pin_path(name, pins.path(name));
        }
    }
    loader.load(&bytes(tier)?).context("cannot load the eBPF object")
}

/// Has the kernel verify one program.
pub(super) fn load_program(ebpf: &mut Ebpf, hook: &Hook, btf: &Btf<'_>, aya_btf: &aya::Btf) -> anyhow::Result<()> {
    let program =
        ebpf.program_mut(hook.program).with_context(|| format!("the eBPF object has no program {}", hook.program))?;
    match hook.attach {
        Attach::Lsm(name) => {
            known(hook, btf)?;
            let program: &mut Lsm = program.try_into()?;
            program.load(name, aya_btf).with_context(|| format!("cannot load the LSM program {name}"))
        }
        Attach::RawTracepoint(name) => {
            let program: &mut RawTracePoint = program.try_into()?;
            program.load().with_context(|| format!("cannot load the tracepoint program {name}"))
        }
    }
}

/// An LSM hook is one of this kernel's.
fn known(hook: &Hook, btf: &Btf<'_>) -> anyhow::Result<()> {
    match hook.attach {
        Attach::Lsm(name) if !btf.has_hook(name) => {
            bail!("this kernel has no LSM hook {name}")
        }
        Attach::Lsm(_) | Attach::RawTracepoint(_) => Ok(()),
    }
}

/// Attaches one loaded program, and pins its link over the one an earlier daemon left.
fn attach(ebpf: &mut Ebpf, hook: &Hook, pins: Option<&Pins>) -> anyhow::Result<()> {
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
    match pins {
        Some(pins) => pins.keep(hook, link),
        None => {
            // The link lives as long as the process: nothing detaches it before.
            std::mem::forget(link);
            Ok(())
        }
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
