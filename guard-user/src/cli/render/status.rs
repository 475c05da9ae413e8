//! What guardd says about itself.

use super::{Look, Tone, words};
use crate::{
    api::{CanaryState, Status, Tier},
    text::shown,
};

pub(crate) fn tier(tier: Tier) -> &'static str {
    match tier {
        Tier::Gate => "gate",
        Tier::Trip => "trip",
    }
}

/// What the tier means, without a promise it does not keep.
pub(crate) fn meaning(tier: Tier) -> &'static str {
    match tier {
        Tier::Gate => "operations are stopped before they take effect",
        Tier::Trip => "exec is stopped before the new program runs; everything else only right after it happened",
    }
}

pub(crate) fn status(look: &Look, status: &Status) -> String {
    let headline = match (status.protecting, status.tier) {
        (true, Tier::Gate) => look.paint(Tone::Good, "PROTECTING"),
        (true, Tier::Trip) | (false, Tier::Trip) => look.paint(Tone::Careful, "TRIP ONLY, DOES NOT PREVENT"),
        (false, Tier::Gate) => look.paint(Tone::Bad, "NOT PROTECTING"),
    };
    let mut text = format!("{headline}: {}\n", shown(&status.summary));
    let mut field = |label: &str, value: String| text.push_str(&format!("  {label:<10}{value}\n"));
    field("tier", format!("{}: {}", tier(status.tier), meaning(status.tier)));
    if !status.reason.is_empty() {
        field("", shown(&status.reason));
    }
    field(
        "guardd",
        format!("{}, pid {}, for {}", shown(&status.version), status.pid, words::age(&status.started, look.now)),
    );
    field("kernel", shown(&status.kernel));
    field("rules", words::number(status.rules.into()));
    field("agents", words::number(status.agents.into()));
    let pending = words::number(status.pending.into());
    field(
        "pending",
        if status.pending > 0 {
            format!("{}, see `guardctl pending`", look.paint(Tone::Careful, &pending))
        } else {
            pending
        },
    );
    field(
        "audit log",
        if status.audit_ok {
            shown(&status.audit_path)
        } else {
            look.paint(
                Tone::Bad,
                &format!("{} CANNOT BE WRITTEN: nothing is approved until it can", shown(&status.audit_path)),
            )
        },
    );
    match status.canary.state {
        CanaryState::Off => {}
        CanaryState::Refused => field(
            "canary",
            match &status.canary.heard {
                Some(heard) => format!("everything it tries is refused; {} ago", words::age(heard, look.now)),
                None => String::new(),
            },
        ),
        CanaryState::Passed | CanaryState::Silent => {
            field("canary", look.paint(Tone::Bad, &shown(&status.canary.problem)));
        }
    }
    let missing = status.features.iter().filter(|feature| !feature.ok).count() as u64;
    if missing > 0 {
        field(
            "missing",
            format!("{}, see `guardctl doctor`", words::counted(missing, "kernel feature", "kernel features")),
        );
    }
    let counts: Vec<String> = status
        .counts
        .iter()
        .filter(|count| count.value > 0 || look.wide)
        .map(|count| format!("{} {}", shown(&count.name), words::number(count.value)))
        .collect();
    if !counts.is_empty() {
        field("counters", counts.join(", "));
    }
    text
}
