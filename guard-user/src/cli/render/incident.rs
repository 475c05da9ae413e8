//! An incident as a page for a terminal, and as Markdown for a report: the same lines, in the order in which somebody asks.
//!
//! Text of the agent is escaped, and in Markdown it is code: nothing in it can become a link, a heading or a mention.

use super::{Look, Tone, names, page::Page, words};
use crate::{
    api::{HoldContext, Process, Variable},
    incident::{Incident, Step},
    text::{command_line, shown},
};

/// Words of ours, or of others: the agent, the rules, whoever decided. Those come escaped.
enum Part {
    Own(String),
    Said(String),
}

type Line = Vec<Part>;

/// A label, and the lines behind it.
type Field = (String, Vec<Line>);

fn own(text: impl Into<String>) -> Part {
    Part::Own(text.into())
}

fn said(text: impl Into<String>) -> Part {
    Part::Said(text.into())
}

pub(crate) fn page(look: &Look, incident: &Incident) -> String {
    let plain = |line: Line| -> String {
        line.into_iter().map(|(Part::Own(text) | Part::Said(text))| text).collect::<Vec<_>>().join(" ")
    };
    let mut page = Page::new(look);
    let headline = headline(incident);
    page.line(&format!("{} {}", look.paint(Tone::Strong, &shown(&incident.hold)), plain(headline)));
    for (heading, part) in parts(incident) {
        page.blank();
        page.line(&look.paint(Tone::Strong, heading));
        for (label, lines) in part {
            let mut lines = lines.into_iter().map(plain);
            page.field(&label, &lines.next().unwrap_or_default());
            lines.for_each(|line| page.more(&line));
        }
    }
    page.text
}

pub(crate) fn markdown(incident: &Incident) -> String {
    let marked = |line: Line| -> String {
        let part = |part| match part {
            Part::Own(text) => text,
            Part::Said(text) => code(&text),
        };
        line.into_iter().map(part).collect::<Vec<_>>().join(" ")
    };
    let mut text = format!("# Incident {}\n\n{}\n", code(&shown(&incident.hold)), marked(headline(incident)));
    for (heading, fields) in parts(incident) {
        text += &format!("\n## {heading}\n\n");
        for (label, lines) in fields {
            let mut lines = lines.into_iter().map(marked);
            text += &format!("- **{label}**: {}\n", lines.next().unwrap_or_default());
            lines.for_each(|line| text += &format!("  - {line}\n"));
        }
    }
    text
}

/// Headings and what is below them. Nothing that an agent said stands among what guard saw.
fn parts(incident: &Incident) -> [(&'static str, Vec<Field>); 3] {
    [
        ("What the agent said, unchecked", said_of_itself(incident)),
        ("What guard saw", facts(incident)),
        ("What happened", story(incident)),
    ]
}

/// Between more backticks than are in it.
fn code(text: &str) -> String {
    if text.is_empty() {
        return "(nothing)".to_owned();
    }
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    if text.starts_with('`') || text.ends_with('`') {
        format!("{fence} {text} {fence}")
    } else {
        format!("{fence}{text}{fence}")
    }
}

fn headline(incident: &Incident) -> Line {
    let act = incident.operation.as_ref().map_or_else(|| "do something".to_owned(), |view| names::phrase(&view.op));
    let who = incident.processes.first();
    let mut line = Vec::new();
    match who {
        Some(process) => line.extend([said(words::quoted(&process.comm)), own(format!("(pid {})", process.pid))]),
        None => line.push(own("a process")),
    }
    line.push(own(match incident.context {
        Some(HoldContext::Tripped) => format!("did this, and was stopped right after it: {act}"),
        Some(HoldContext::Held | HoldContext::Denied) | None => format!("wanted to {act}"),
    }));
    line
}

/// Lines of a long text that are shown, and letters of each.
const LINES: usize = 12;
const LETTERS: usize = 240;

/// The beginning of a text of several lines.
fn lines(text: &str) -> Vec<Line> {
    let mut all = text.lines().filter(|line| !line.trim().is_empty());
    let mut shown_lines: Vec<Line> =
        all.by_ref().take(LINES).map(|line| vec![said(words::shorten(&shown(line), LETTERS))]).collect();
    let more = all.count();
    if more > 0 {
        shown_lines.push(vec![own(format!("… and {more} more lines: -o json"))]);
    }
    shown_lines
}

/// What the person asked, what the agent made of it, and how that is known to be about this.
fn said_of_itself(incident: &Incident) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    let mut field = |label: &str, lines: Vec<Line>| fields.push((label.to_owned(), lines));
    match (&incident.cause, &incident.told) {
        (Some(cause), Some(told)) => {
            let nothing = |text: &str| vec![vec![own(text)]];
            field("asked", if told.prompt.is_empty() { nothing("it did not say what") } else { lines(&told.prompt) });
            field(
                "reasoned",
                if told.reasoning.is_empty() { nothing("it did not say") } else { lines(&told.reasoning) },
            );
            let input = if told.command.is_empty() { told.input.to_string() } else { told.command.clone() };
            let mut call = vec![vec![said(shown(&cause.tool)), said(words::shorten(&shown(&input), 2 * LETTERS))]];
            call.push(vec![own(shown(&incident.told_at)), own(format!("[record {}]", cause.record))]);
            field("tool call", call);
        }
        (Some(cause), None) => field("tool call", vec![vec![said(shown(&cause.tool))]]),
        (None, _) => field("tool call", vec![vec![own("it told of none; `guardctl integrate` connects its hooks")]]),
    }
    if let Some(cause) = &incident.cause {
        let mut from = vec![said(shown(&cause.from))];
        for (word, id) in [("session", &cause.session), ("call", &cause.call)] {
            if !id.is_empty() {
                from.extend([own(word), said(shown(id))]);
            }
        }
        field("of", vec![from]);
        let because = cause.because.iter().map(|evidence| names::evidence(*evidence)).collect::<Vec<_>>().join(", ");
        field("link", vec![vec![own(format!("{}, as guard sees it: {because}", names::sureness(cause.sure)))]]);
    }
    if !incident.environment.is_empty() {
        let line = |variable: &Variable| {
            vec![
                said(format!("{}={}", shown(&variable.name), shown(&variable.value))),
                own(format!("of pid {}", variable.pid)),
            ]
        };
        field("environment", incident.environment.iter().map(line).collect());
    }
    fields
}

fn facts(incident: &Incident) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    let mut field = |label: &str, lines: Vec<Line>| fields.push((label.to_owned(), lines));
    let mut agent = vec![own("agent"), said(shown(&incident.agent))];
    if !incident.agent_name.is_empty() {
        agent.push(said(words::quoted(&incident.agent_name)));
    }
    if let Some(process) = incident.processes.first() {
        agent.extend([own("as user"), said(words::quoted(&process.user)), own(format!("(uid {})", process.uid))]);
    }
    field("who", vec![agent]);
    if !incident.processes.is_empty() {
        field("processes", incident.processes.iter().rev().map(process).collect());
    }
    if let Some(process) = incident.processes.first().filter(|process| !process.cwd.is_empty()) {
        field("in", vec![vec![said(words::quoted(&process.cwd))]]);
    }
    if let Some(view) = &incident.operation {
        let mut lines = vec![vec![said(format!("{} {}", shown(&view.op), words::object(view)))]];
        let more = [&view.object_type, &view.detail].map(|text| shown(text));
        lines.extend(more.into_iter().filter(|text| !text.is_empty()).map(|text| vec![said(text)]));
        if !view.doubt.is_empty() {
            lines.push(vec![own("guard did not know all of it:"), said(shown(&view.doubt))]);
        }
        field("what", lines);
    }
    field(
        "how much",
        vec![match &incident.blast {
            Some(blast) => vec![own(format!("{} below", words::blast(blast))), said(words::quoted(&blast.root))],
            None => vec![own("was not counted")],
        }],
    );
    let mut rule = vec![vec![said(shown(&incident.rule))]];
    if let Some(reversibility) = incident.reversibility {
        rule[0].push(own(format!("({})", names::reversibility(reversibility))));
    }
    if !incident.rule_text.is_empty() {
        rule.push(vec![said(shown(&incident.rule_text))]);
    }
    field("rule", rule);
    fields
}

/// What the kernel knows of it, and what it says of itself.
fn process(process: &Process) -> Line {
    let mut line = vec![own(format!("{}", process.pid)), said(words::quoted(&process.comm))];
    if !process.exe.is_empty() {
        line.push(said(words::quoted(&process.exe)));
    }
    if !process.argv.is_empty() {
        line.extend([own("says:"), said(words::shorten(&command_line(&process.argv), 160))]);
    }
    line
}

/// The records of it.
fn story(incident: &Incident) -> Vec<Field> {
    let context = incident.context.unwrap_or(HoldContext::Held);
    let held = match context {
        HoldContext::Held => "held before it took effect",
        HoldContext::Denied => "refused at once, since such a call cannot wait",
        HoldContext::Tripped => "stopped; where it was no new program, it had happened already",
    };
    let step = |step: &Step| -> Field {
        let (label, what) = match (step.kind.as_str(), step.verdict, step.outcome) {
            ("result", ..) if let Some(result) = &step.result => {
                ("result", own(format!("the operation {}", result.words())))
            }
            ("tag", ..) => ("tagged", own("the agent was put under guard")),
            ("hold", ..) => ("held", own(held)),
            ("decision", Some(verdict), _) => {
                let scope = step.scope.map(|scope| format!(" ({})", names::scope(scope))).unwrap_or_default();
                ("decision", own(format!("{}{scope}", names::verdict(verdict))))
            }
            ("withdrawn", ..) => ("withdrawn", own("the decision never took effect")),
            ("outcome", _, Some(outcome)) => ("outcome", own(names::outcome(outcome, context))),
            (kind, ..) => ("recorded", said(shown(kind))),
        };
        let mut line = vec![own(shown(&step.time)), what];
        // An outcome and a result are the decision's.
        if !step.by.is_empty() && !["outcome", "result"].contains(&step.kind.as_str()) {
            line.extend([own("by"), said(shown(&step.by))]);
        }
        line.push(own(format!("[record {}]", step.seq)));
        let mut lines = vec![line];
        if !step.note.is_empty() && step.kind != "tag" {
            lines.push(vec![own("note:"), said(shown(&step.note))]);
        }
        (label.to_owned(), lines)
    };
    incident.steps.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::render::Look;

    fn incident() -> Incident {
        let process = |pid: u32, comm: &str, argv: &[&str]| {
            json!({"pid": pid, "ppid": 1, "uid": 1000, "user": "dev", "comm": comm, "exe": format!("/usr/bin/{comm}"),
                "argv": argv, "cwd": "/srv/project"})
        };
        let records = [
            json!({"seq": 7, "time": "2026-03-02T11:59:48.000Z", "kind": "hold", "agent": "a1", "agent_name": "claude", "hold": "h12",
                "rule": "delete-outside-workspace", "rule_text": "Deletes outside the workspace cannot be undone.",
                "reversibility": "irreversible", "context": "held",
                "operation": {"op": "unlink", "path": "/srv/`x`\n# @all", "other_path": "", "argv": [], "address": "",
                    "object_type": "file", "size": 5, "own": false, "detail": "", "doubt": ""},
                "blast": {"root": "/srv", "files": 3, "directories": 1, "bytes": 4096, "more": false},
                "processes": [process(4243, "rm", &["rm", "-rf", "/srv"]), process(4100, "claude", &["claude"])]}),
            json!({"seq": 8, "time": "2026-03-02T12:00:10.000Z", "kind": "decision", "agent": "a1", "hold": "h12", "verdict": "deny",
                "scope": "process", "by": "uid 0 (root), pid 77", "note": "not <b>here</b>",
                "cause": {"record": 6, "from": "claude-code", "session": "5b1c", "call": "toolu_01", "tool": "Bash",
                    "sure": "strong", "because": ["tree", "argv", "time"]},
                "environment": [{"name": "TRACEPARENT", "value": "00-0af7-b7ad-01", "pid": 4100}]}),
            json!({"seq": 9, "time": "2026-03-02T12:00:10.000Z", "kind": "outcome", "agent": "a1", "hold": "h12",
                "by": "uid 0 (root), pid 77", "outcome": "refused"}),
        ];
        let mut incident = Incident::of("h12", &records).expect("there is something");
        incident.told_in(&[json!({"seq": 6, "time": "2026-03-02T11:59:47.000Z", "kind": "tool_call", "tool_call": {
            "from": "claude-code", "tool": "Bash", "command": "rm -rf /srv", "reasoning": "I'll clean up.\n\n\u{1b}[2J`now`",
            "prompt": (1..20).map(|line| format!("line {line}\n")).collect::<String>()}})]);
        incident.tagged_by(&[
            json!({"seq": 2, "time": "2026-03-02T11:00:00.000Z", "kind": "tag", "by": "uid 1000 (dev), pid 40"}),
        ]);
        incident
    }

    #[test]
    fn an_incident_is_a_page() {
        let look =
            Look { colour: false, width: None, wide: false, now: "2026-03-02T12:00:00Z".parse().expect("a time") };
        insta::assert_snapshot!("incident", page(&look, &incident()));
    }

    #[test]
    fn an_incident_is_markdown_in_which_nothing_of_the_agents_means_anything() {
        insta::assert_snapshot!("incident_markdown", markdown(&incident()));
        assert_eq!(
            (code("a"), code("a`b"), code("``")),
            ("`a`".to_owned(), "``a`b``".to_owned(), "``` `` ```".to_owned())
        );
    }
}
