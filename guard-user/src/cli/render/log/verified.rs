//! What `guardctl log verify` found, on one page.

use super::super::{Look, Tone};
use crate::{audit::verify::Finding, cli::log::verify::Verified, text::shown};

pub(crate) fn page(look: &Look, verified: &Verified) -> String {
    let report = &verified.report;
    let path = shown(&verified.log.to_string_lossy());
    let mut text = if report.whole {
        format!("{path} is {}", look.paint(Tone::Good, "whole"))
    } else {
        format!("{path} is {}", look.paint(Tone::Bad, "NOT WHOLE"))
    };
    let plural = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    text += &format!(
        ": {} in {}, {} to {}\n",
        plural(report.records, "record"),
        plural(report.segments, "segment"),
        report.first_seq,
        report.last_seq
    );
    for finding in &report.findings {
        text += &line(look, finding);
    }
    text += &format!("  {}\n", signed(verified));
    if verified.checkpoints > 0 {
        text += &format!("  {} kept elsewhere looked for\n", plural(verified.checkpoints as u64, "checkpoint"));
    }
    text + &format!("  the next record will name {}\n", report.head)
}

fn signed(verified: &Verified) -> String {
    let report = &verified.report;
    if verified.keys.is_empty() {
        return "no signature was looked at: there is no public key beside the log, and none was given".to_owned();
    }
    let keys = if verified.keys.len() == 1 { "the key" } else { "the keys" };
    let whose = if verified.own_keys { " beside the log" } else { "" };
    let key = format!("{keys}{whose}, {}", verified.keys.join(", "));
    if report.signed_seq == 0 {
        return format!("nothing is signed yet with {key}");
    }
    let since = report.last_seq.saturating_sub(report.signed_seq);
    let rest = if since == 0 { String::new() } else { format!("; {since} since then are chained, not signed yet") };
    format!("signed up to record {} with {key}{rest}", report.signed_seq)
}

fn line(look: &Look, finding: &Finding) -> String {
    let file = finding.file.file_name().unwrap_or_default().to_string_lossy();
    let place = if finding.line == 0 { shown(&file) } else { format!("{}:{}", shown(&file), finding.line) };
    let tone = if finding.broken { Tone::Bad } else { Tone::Careful };
    format!("  {}: {}\n", look.paint(tone, &place), shown(&finding.text))
}
