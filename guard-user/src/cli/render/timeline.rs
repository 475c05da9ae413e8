//! What an agent did, as a page: a line for each thing, with its time, below the process it happened in. What an agent wrote is
//! escaped, and no line of it begins where ours do.

use jiff::{Timestamp, tz::TimeZone};

use super::{Look, Tone, names, words};
use crate::{
    api::{HoldContext, Outcome, Phase, ToolCall},
    text::{command_line, shown},
    timeline::{Event, Exec, Item, Node, Timeline},
};

/// Columns of arguments that a line has at least, however deep it stands.
const ROOM: usize = 40;
/// Letters of what an agent says of a tool.
const SAID: usize = 160;

pub(crate) fn page(look: &Look, timeline: &Timeline) -> String {
    let mut who = format!("agent {}", look.paint(Tone::Strong, &shown(&timeline.agent)));
    if !timeline.agent_name.is_empty() {
        who.push_str(&format!(" {}", words::quoted(&timeline.agent_name)));
    }
    let moments = || timeline.times().filter_map(|time| time.parse::<Timestamp>().ok());
    let day = |moment: Timestamp| moment.to_zoned(TimeZone::UTC).date();
    let (first, last) = (moments().min().map(day), moments().max().map(day));
    let mut drawing = Drawing { look, one_day: first == last, cwd: Vec::new(), text: String::new() };
    match first {
        Some(day) if first == last => who.push_str(&format!(", on {day}, times in UTC")),
        Some(_) | None => who.push_str(", times in UTC"),
    }
    drawing.text = who + "\n\n";
    if timeline.more {
        drawing.line("", "", &look.paint(Tone::Careful, "What was before is left out: -n COUNT has more."));
    }
    for run in runs(&timeline.items) {
        drawing.item("", "", &run);
    }
    drawing.text
}

/// The page, as it is. No line begins with a backtick, so nothing in it ends the block.
pub(crate) fn markdown(timeline: &Timeline) -> String {
    let look = Look { colour: false, width: None, wide: false, now: Timestamp::UNIX_EPOCH };
    format!("# Timeline of agent {}\n\n```text\n{}```\n", shown(&timeline.agent), page(&look, timeline))
}

/// The page as it grows.
struct Drawing<'a> {
    look: &'a Look,
    /// All of it happened on one day.
    one_day: bool,
    /// The directories of the processes that are being drawn.
    cwd: Vec<String>,
    text: String,
}

impl Drawing<'_> {
    /// `branch` is what is before the item's own line, `stem` what is before everything below it.
    fn item(&mut self, branch: &str, stem: &str, run: &Run<'_>) {
        match run.item {
            Item::Exec(exec) => {
                let what = self.exec(exec, branch);
                self.line(&exec.time, branch, &format!("then {what}"));
            }
            Item::Event(event) => {
                let what = event_text(self.look, event) + &again(run);
                self.line(&event.time, branch, &what);
            }
            Item::Process(node) => self.process(branch, stem, node),
        }
    }

    fn process(&mut self, branch: &str, stem: &str, node: &Node) {
        self.cwd.push(self.cwd.last().cloned().unwrap_or_default());
        let pid = self.look.paint(Tone::Strong, &node.pid.to_string());
        let below = match node.items.split_first() {
            Some((Item::Exec(exec), rest)) => {
                let what = self.exec(exec, branch);
                self.line(&exec.time, branch, &format!("{pid} {what}"));
                rest
            }
            Some(_) | None => {
                let comm = if node.comm.is_empty() { "?".to_owned() } else { words::quoted(&node.comm) };
                self.line("", branch, &format!("{pid} {comm}"));
                &node.items[..]
            }
        };
        let runs = runs(below);
        for (at, run) in runs.iter().enumerate() {
            let (here, further) = if at + 1 == runs.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            self.item(&format!("{stem}{here}"), &format!("{stem}{further}"), run);
        }
        self.cwd.pop();
    }

    /// The program, the directory where that is another than before, and the arguments: what an agent wrote comes last.
    fn exec(&mut self, exec: &Exec, branch: &str) -> String {
        let mut text = if exec.exe.is_empty() { "?".to_owned() } else { words::quoted(&exec.exe) };
        if let Some(cwd) = self.cwd.last_mut().filter(|cwd| **cwd != exec.cwd && !exec.cwd.is_empty()) {
            cwd.clone_from(&exec.cwd);
            text.push_str(&format!(" in {}", words::quoted(&exec.cwd)));
        }
        if self.look.wide {
            let program = if exec.program.is_empty() { "unknown" } else { &exec.program };
            text.push_str(&format!(" [record {}, sha256 {}]", exec.seq, shown(program)));
        }
        if !exec.note.is_empty() {
            text.push_str(&format!(" ({})", shown(&exec.note)));
        }
        if !exec.argv.is_empty() {
            let arguments = command_line(&exec.argv);
            let room = self.look.width.unwrap_or(200).saturating_sub(branch.chars().count() + text.len() + 32);
            let arguments = if self.look.wide { arguments } else { words::shorten(&arguments, room.max(ROOM)) };
            text.push_str(&format!(": {arguments}"));
        }
        text
    }

    fn line(&mut self, time: &str, branch: &str, what: &str) {
        let time = self.time(time);
        let columns = if self.one_day { 12 } else { 23 };
        let time = self.look.paint(Tone::Faint, &format!("{time:columns$}"));
        self.text.push_str(&format!("{time}  {branch}{what}\n"));
    }

    fn time(&self, time: &str) -> String {
        let form = if self.one_day { "%H:%M:%S%.3f" } else { "%Y-%m-%d %H:%M:%S%.3f" };
        let moment = time.parse::<Timestamp>().map(|moment| moment.to_zoned(TimeZone::UTC).strftime(form).to_string());
        moment.unwrap_or_else(|_| shown(time))
    }
}

/// An item, and those after it that say the same of other holds.
struct Run<'a> {
    item: &'a Item,
    again: usize,
    /// The last of those.
    last: &'a str,
}

/// What is decided for a whole process fills no page: of decisions and outcomes that follow each other, those that differ in
/// nothing but the hold are one.
fn runs(items: &[Item]) -> Vec<Run<'_>> {
    let mut runs: Vec<Run<'_>> = Vec::new();
    // Where decisions and outcomes began to follow each other.
    let mut begun = 0;
    for item in items {
        if let Item::Event(event) = item
            && matches!(event.kind.as_str(), "decision" | "outcome")
        {
            let same = |run: &&mut Run<'_>| matches!(run.item, Item::Event(first) if says_the_same(first, event));
            if let Some(run) = runs[begun..].iter_mut().find(same) {
                (run.again, run.last) = (run.again + 1, &event.hold);
                continue;
            }
        } else {
            begun = runs.len() + 1;
        }
        runs.push(Run { item, again: 0, last: "" });
    }
    runs
}

fn says_the_same(one: &Event, other: &Event) -> bool {
    let of =
        |event: &Event| Event { seq: 0, time: String::new(), hold: String::new(), operation: None, ..event.clone() };
    of(one) == of(other)
}

fn again(run: &Run<'_>) -> String {
    match run.again {
        0 => String::new(),
        again => format!(" (and {} more, up to {})", words::number(again as u64), shown(run.last)),
    }
}

/// What the agent says of itself, marked as that.
fn told(call: &ToolCall) -> String {
    let (tool, from) = (shown(&call.tool), shown(&call.from));
    let input = if call.command.is_empty() { call.input.to_string() } else { call.command.clone() };
    match call.phase {
        Phase::Before if call.tool.is_empty() && call.prompt.is_empty() => format!("says: something of {from}"),
        Phase::Before if call.tool.is_empty() => {
            format!("says: asked to {}", words::shorten(&shown(&call.prompt), SAID))
        }
        Phase::Before => format!("says: calls {tool} ({from}): {}", words::shorten(&shown(&input), SAID)),
        Phase::After => format!("says: {tool} is over"),
    }
}

fn event_text(look: &Look, event: &Event) -> String {
    let by = if event.by.is_empty() { String::new() } else { format!(" by {}", shown(&event.by)) };
    let hold = shown(&event.hold);
    let context = event.context.unwrap_or(HoldContext::Held);
    let what = || {
        let what = event.operation.as_ref().map(|view| format!("{} {}", shown(&view.op), words::object(view)));
        format!("{} (rule {})", what.unwrap_or_default(), shown(&event.rule))
    };
    let (tone, text) = match event.kind.as_str() {
        "tag" => (Tone::Strong, format!("tagged{by}")),
        "untag" => (Tone::Strong, format!("untagged{by}")),
        "agent_ended" => (Tone::Strong, "ended: no process of it is left".to_owned()),
        "suspend" => (Tone::Careful, format!("suspended{by}")),
        "resume" => (Tone::Good, format!("resumed{by}")),
        "kill" => (Tone::Bad, format!("killed{by}")),
        "hold" => {
            let how = match context {
                HoldContext::Held => "held",
                HoldContext::Denied => "refused at once",
                HoldContext::Tripped => "stopped",
            };
            (Tone::Careful, format!("{hold} {how}: {}", what()))
        }
        "would_hold" => (Tone::Careful, format!("would be held: {}", what())),
        "decision" => {
            let verdict = event.verdict.map_or("decided", names::verdict);
            let scope = event.scope.map(|scope| format!(" ({})", names::scope(scope))).unwrap_or_default();
            (Tone::Strong, format!("{hold} {verdict}{scope}{by}"))
        }
        "outcome" => match event.outcome {
            Some(outcome) => {
                let tone = if outcome == Outcome::Released { Tone::Good } else { Tone::Bad };
                (tone, format!("{hold} {}", names::outcome(outcome, context)))
            }
            None => (Tone::Strong, format!("{hold} is over")),
        },
        "withdrawn" => (Tone::Bad, format!("{hold} the decision never took effect")),
        "tool_call" => (Tone::Strong, event.tool_call.as_ref().map(told).unwrap_or_default()),
        // All that these say is in their notes.
        "shielded" | "expired" | "exec" => (Tone::Bad, shown(&event.note)),
        kind => (Tone::Strong, format!("{}{by}", shown(kind))),
    };
    let mut text = look.paint(tone, &text);
    if !event.note.is_empty() && !["tag", "shielded", "expired", "exec"].contains(&event.kind.as_str()) {
        text.push_str(&format!(": {}", shown(&event.note)));
    }
    if look.wide {
        text.push_str(&format!(" [record {}]", event.seq));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::{number, tests::records};

    fn look() -> Look {
        Look { colour: false, width: None, wide: false, now: "2026-11-30T13:00:00Z".parse().expect("a time") }
    }

    #[test]
    fn a_timeline_is_a_page() {
        let timeline = Timeline::of(&records()).expect("there is something");
        insta::assert_snapshot!("timeline", page(&look(), &timeline));
        insta::assert_snapshot!("timeline_wide", page(&Look { wide: true, ..look() }, &timeline));
        let more = Timeline { more: true, ..timeline.clone() };
        let narrow = Look { width: Some(60), colour: true, ..look() };
        insta::assert_snapshot!("timeline_narrow", page(&narrow, &more));
        insta::assert_snapshot!("timeline_markdown", markdown(&timeline));
    }

    #[test]
    fn what_one_decision_covers_is_a_line() {
        let event = |seq: u64, kind: &str, hold: &str, note: &str| {
            let (kind, hold, note) = (kind.to_owned(), hold.to_owned(), note.to_owned());
            Item::Event(Box::new(Event { seq, kind, hold, note, ..Event::default() }))
        };
        let mut items = vec![event(1, "decision", "h1", ""), event(2, "outcome", "h1", "")];
        for number in 2..9 {
            items.push(event(number * 2, "decision", &format!("h{number}"), "covered"));
            items.push(event(number * 2 + 1, "outcome", &format!("h{number}"), ""));
        }
        items.push(event(30, "hold", "h9", ""));
        items.push(event(31, "outcome", "h9", ""));
        let seen: Vec<_> = runs(&items).iter().map(|run| (number(run.item), run.again, run.last.to_owned())).collect();
        let expected = [(1, 0, ""), (2, 7, "h8"), (4, 6, "h8"), (30, 0, ""), (31, 0, "")];
        assert_eq!(seen, expected.map(|(seq, again, last)| (seq, again, last.to_owned())));
    }

    #[test]
    fn nothing_that_an_agent_wrote_ends_a_line() {
        let mut records = records();
        for process in records.iter_mut().flat_map(|record| record["processes"].as_array_mut()).flatten() {
            process["argv"] = serde_json::json!(["x\n```\n# y", "\u{1b}[2J\u{202e}"]);
            process["comm"] = serde_json::json!("```\n");
            process["cwd"] = serde_json::json!("/\n```");
        }
        let timeline = Timeline::of(&records).expect("there is something");
        let text = markdown(&timeline);
        assert_eq!(text.lines().filter(|line| line.trim_start().starts_with("```")).count(), 2, "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
    }
}
