//! What this host can do for guard, what is missing, what that costs and how to fix it.

use serde::Serialize;

use super::{Look, Tone, status, words};
use crate::{
    api::{Feature, Tier},
    text::shown,
};

/// The examination, as `-o json` shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// guardd answered: the features are what it found when it loaded its programs.
    pub running: bool,
    /// Why guardd was not asked; empty when it was.
    pub not_asked: String,
    /// The tier that runs; absent while guardd does not run.
    pub tier: Option<Tier>,
    /// Why not gate; empty for gate.
    pub reason: String,
    /// What guardd says it protects; empty while it does not run.
    pub summary: String,
    /// Every operation of the rules is, or could be, stopped before it takes effect.
    pub gate: bool,
    pub features: Vec<Feature>,
}

pub(crate) fn doctor(look: &Look, report: &Report) -> String {
    let mut text = String::new();
    let verdict = match (report.tier, report.gate) {
        (Some(Tier::Gate), true) => look.paint(Tone::Good, "tier: gate, complete"),
        (Some(Tier::Gate), false) => look.paint(Tone::Bad, "tier: gate, with gaps"),
        (Some(Tier::Trip), _) => look.paint(Tone::Careful, "tier: trip, does not prevent"),
        (None, true) => look.paint(Tone::Careful, "tier: none now (guardd was not asked); this kernel can do gate"),
        (None, false) => look.paint(Tone::Bad, "tier: none now (guardd was not asked); gate is not available here"),
    };
    text.push_str(&format!("{verdict}\n"));
    if let Some(tier) = report.tier {
        text.push_str(&format!("  {}\n", status::meaning(tier)));
    }
    for line in [&report.reason, &report.summary, &report.not_asked] {
        if !line.is_empty() {
            text.push_str(&format!("  {}\n", shown(line)));
        }
    }
    let (good, missing): (Vec<&Feature>, Vec<&Feature>) = report.features.iter().partition(|feature| feature.ok);
    if report.features.is_empty() {
        text.push_str("\nno feature could be examined\n");
    }
    for feature in &missing {
        text.push_str(&format!("\n{} {}", look.paint(Tone::Bad, "✗"), look.paint(Tone::Strong, &shown(&feature.name))));
        text.push_str(&format!(": {}\n", or(&feature.problem, "missing")));
        text.push_str(&format!("    costs  {}\n", or(&feature.cost, "unknown")));
        text.push_str(&format!("    fix    {}\n", or(&feature.fix, "none on this kernel; a newer one may have it")));
    }
    if !good.is_empty() {
        text.push('\n');
        if look.wide {
            for feature in &good {
                text.push_str(&format!("{} {}\n", look.paint(Tone::Good, "✓"), shown(&feature.name)));
            }
        } else {
            text.push_str(&format!(
                "{} {} in place{}\n",
                look.paint(Tone::Good, "✓"),
                words::counted(good.len() as u64, "feature", "features"),
                if missing.is_empty() { "" } else { "; `guardctl doctor -o wide` names them" },
            ));
        }
    }
    text
}

fn or(text: &str, otherwise: &str) -> String {
    if text.is_empty() { otherwise.to_owned() } else { shown(text) }
}
