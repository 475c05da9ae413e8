//! A footprint as a page, and those of all agents as a table. Names are the agent's, and escaped.

use super::{
    Look, Tone,
    table::{Field, table},
};
use crate::{
    cli::{
        audit_permissions::{Row, Share},
        footprint::Report,
    },
    rules::{
        case::Verdict,
        gap::{Part, Used},
    },
    text::shown,
};

/// Things of one kind that a person reads.
const MOST: usize = 20;

pub(crate) fn page(look: &Look, report: &Report) -> String {
    let Report { seen, gap } = report;
    let mut text = format!(
        "{} ({}), from {} to {}\n",
        look.paint(Tone::Strong, &shown(&seen.name)),
        shown(&seen.agents.join(", ")),
        shown(&seen.since),
        shown(&seen.until)
    );
    text += &match seen.policy.as_str() {
        "" => format!("{}\n", look.paint(Tone::Bad, "no policy: everything is allowed that no rule stops")),
        policy => format!("policy {}\n", shown(policy)),
    };
    let headings = ["Read in", "Written in", "Run", "Connected to"];
    for (heading, (_, part)) in headings.into_iter().zip(gap.parts()) {
        text += &format!("\n{}\n", look.paint(Tone::Strong, heading));
        text += &used(look, part);
        text += &unused(look, part);
    }
    if !seen.credentials.is_empty() {
        text += &format!("\n{}\n", look.paint(Tone::Strong, "Secrets it wanted"));
        let rows = seen.credentials.iter();
        let rows = rows.map(|secret| vec![Field::new(shown(&secret.outcome)), Field::new(shown(&secret.path))]);
        text += &table(look, &["OUTCOME", "PATH"], rows.collect(), 1);
    }
    text
}

fn used(look: &Look, part: &Part) -> String {
    if part.used.is_empty() {
        return "  nothing\n".to_owned();
    }
    let mut used: Vec<&Used> = part.used.iter().collect();
    used.sort_by(|one, other| other.times.cmp(&one.times).then_with(|| one.name.cmp(&other.name)));
    let row = |used: &&Used| {
        let below = if used.below { "/…" } else { "" };
        let name = format!("{}{below}", shown(used.name.trim_end_matches('/')));
        vec![
            Field::new(used.times.to_string()),
            verdict(used),
            Field::new(if name.is_empty() { "/".to_owned() } else { name }),
        ]
    };
    let most = if look.wide { used.len() } else { MOST };
    let rows = used.iter().take(most).map(row).collect();
    let more = used.len().saturating_sub(most);
    let more = if more > 0 { format!("  … and {more} more, each used less: -o wide\n") } else { String::new() };
    table(look, &["TIMES", "NOW", "WHAT"], rows, 2) + &more
}

fn verdict(used: &Used) -> Field {
    let (word, tone) = match used.verdict {
        Verdict::Allow => return Field::toned("allowed", Tone::Good),
        Verdict::Observe => ("watched", Tone::Careful),
        Verdict::Hold => ("held", Tone::Bad),
        Verdict::Deny => ("denied", Tone::Bad),
        Verdict::Kill => ("killed", Tone::Bad),
    };
    Field::toned(format!("{word} by {}", shown(&used.rule)), tone)
}

/// The gap.
fn unused(look: &Look, part: &Part) -> String {
    let Some(allowed) = &part.allowed else {
        return format!(
            "{}\n",
            look.paint(Tone::Bad, "  GAP not limited: anything else is allowed that no rule stops")
        );
    };
    let unused = allowed.iter().filter(|allowance| allowance.times == 0);
    let lines = unused.map(|allowance| {
        let line = format!("  GAP allowed and never used: {}", shown(&allowance.pattern));
        format!("{}\n", look.paint(Tone::Careful, &line))
    });
    let lines: String = lines.collect();
    if lines.is_empty() { format!("  all {} that its policy names are used\n", allowed.len()) } else { lines }
}

pub(crate) fn table_of(look: &Look, rows: &[Row]) -> String {
    let share = |share: Share| match share.allowed {
        None => Field::toned(format!("{} used, no limit", share.used), Tone::Bad),
        Some(allowed) => {
            let tone = if share.unused > 0 { Tone::Careful } else { Tone::Good };
            Field::toned(format!("{} of {allowed} unused", share.unused), tone)
        }
    };
    let fields = |row: &Row| {
        let policy = if row.policy.is_empty() { "none".to_owned() } else { shown(&row.policy) };
        vec![
            Field::new(shown(&row.name)),
            Field::new(policy),
            share(row.reads),
            share(row.writes),
            share(row.runs),
            share(row.connects),
            Field::new(row.credentials.to_string()),
        ]
    };
    let header = ["AGENT", "POLICY", "READS", "WRITES", "RUNS", "CONNECTS", "SECRETS"];
    table(look, &header, rows.iter().map(fields).collect(), 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        cli::{audit_permissions::worst_first, seen::joined, tests::looks},
        rules::{agent_policy, compile::Rules, file::load},
    };

    const POLICIES: &str = "policies:
  - name: narrow
    reads: [/usr/**, \"${HOME}/docs/**\"]
    writes: [\"${WORKSPACE}/**\"]
    runs: [/usr/bin/git, terraform]
    egress: [{address: 192.0.2.0/24, port: 443}, {address: 198.51.100.1}]
";

    fn rules() -> Rules {
        let rules = load(None).expect("the shipped rules");
        let file = agent_policy::File::read(POLICIES, agent_policy::FILE).expect("right");
        let policies = file.policies(POLICIES, agent_policy::FILE, &rules).expect("right");
        rules.with_policies(policies)
    }

    /// A record of an agent under this policy.
    fn record(name: &str, policy: &str) -> serde_json::Value {
        json!({"kind": "footprint", "time": "2026-11-30T12:00:00.000Z", "agent": "a3", "agent_name": name, "footprint": {
            "policy": policy, "home": "/home/u", "workspace": "/home/u/work",
            "directories": [
                {"path": "/home/u/work/src", "reads": 5000, "writes": 300},
                {"path": "/usr/lib", "reads": 12, "below": true},
                {"path": "/srv/\u{202e}odd", "reads": 1},
                {"path": "/etc", "writes": 1},
            ],
            "programs": [{"name": "/usr/bin/git", "times": 40}],
            "reached": [{"name": "192.0.2.7:443", "times": 3}, {"name": "unix:/run/x.sock", "times": 1}],
        }})
    }

    fn holds() -> [serde_json::Value; 3] {
        let hold = |kind: &str, hold: &str, outcome: &str| {
            json!({"kind": kind, "seq": 7, "agent_name": "builder", "hold": hold, "outcome": outcome,
                "operation": {"op": "open_read", "path": "/home/u/.ssh/id_ed25519"}})
        };
        [hold("hold", "h1", ""), hold("outcome", "h1", "refused"), hold("would_hold", "", "")]
    }

    fn report(policy: &str) -> Report {
        // The second record adds to the first.
        let records = [record("builder", policy), record("builder", policy)];
        let seen = joined(&records, &holds()).remove(0);
        let gap = seen.gap(&rules(), &seen.footprint()).expect("the policy is there");
        Report { seen, gap }
    }

    #[test]
    fn a_footprint_is_a_page() {
        insta::assert_snapshot!("footprint", page(&looks::piped(), &report("narrow")));
        insta::assert_snapshot!("footprint_no_policy", page(&looks::piped(), &report("")));
    }

    #[test]
    fn agents_are_compared_worst_first() {
        let mut rows: Vec<Row> = [("tight", "narrow"), ("free", "")]
            .map(|(name, policy)| {
                let seen = joined(&[record(name, policy)], &[]).remove(0);
                let gap = seen.gap(&rules(), &seen.footprint()).expect("the policy is there");
                Row::of(seen, &gap)
            })
            .into();
        worst_first(&mut rows);
        insta::assert_snapshot!("audit_permissions", table_of(&looks::piped(), &rows));
    }
}
