//! What a forecast looks like. Makes text, prints nothing.

use super::{Look, Tone, names};
use crate::{
    api::Action,
    check::{Judged, Verdict},
    text,
};

/// Operations shown where nobody asked for all of them.
const MOST: usize = 12;

pub(crate) fn verdict(verdict: &Verdict, look: &Look) -> String {
    let mut out = String::new();
    let head = match verdict.action {
        Action::Allow => look.paint(Tone::Good, "allow"),
        Action::Hold => look.paint(Tone::Careful, "hold"),
        Action::Deny => look.paint(Tone::Bad, "deny"),
        Action::Kill => look.paint(Tone::Bad, "kill"),
    };
    out.push_str(&head);
    if let (Some(rule), Some(reversibility)) = (&verdict.rule, verdict.reversibility) {
        out.push_str(&format!("  rule {rule}, {}", names::reversibility(reversibility)));
    }
    out.push_str(&format!("\n  {}\n", text::shown(&verdict.why)));
    let is_shown = |judged: &&Judged| look.wide || judged.action != Action::Allow || judged.op == "exec";
    let shown: Vec<&Judged> = verdict.operations.iter().filter(is_shown).collect();
    let most = if look.wide { shown.len() } else { MOST };
    for judged in shown.iter().take(most) {
        let mark = match judged.action {
            Action::Allow => "      ",
            Action::Hold => "hold  ",
            Action::Deny => "deny  ",
            Action::Kill => "kill  ",
        };
        let rule = judged.rule.as_ref().map_or_else(String::new, |rule| format!("  [{rule}]"));
        out.push_str(&format!("  {mark}{} {}{rule}\n", judged.op, text::shown(&judged.what)));
    }
    if shown.len() > most {
        out.push_str(&format!("  … and {} more: -o wide\n", shown.len() - most));
    }
    out
}
