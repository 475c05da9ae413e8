//! One hold, so that a person can decide in one look: what, how much, how, why, who, since when, and what to type.
//!
//! All text of the agent is escaped before it goes on the page.

use guard_common::op::Op;

use super::{Look, Tone, list::reversibility_tone, names, page::Page, tree, words};
use crate::{
    api::{Hold, HoldContext, HoldState},
    text::shown,
};

/// An argument list longer than this is cut: the head names the program, `-o json` has all of it.
const LONGEST: usize = 6_000;

pub(crate) fn hold(look: &Look, hold: &Hold) -> String {
    let mut page = Page::new(look);
    headline(&mut page, hold);
    page.blank();
    what(&mut page, hold);
    page.field("how", how(hold));
    page.field(
        "why",
        &format!(
            "rule {}, {}",
            look.paint(Tone::Strong, &shown(&hold.rule)),
            look.paint(reversibility_tone(hold.reversibility), names::reversibility(hold.reversibility)),
        ),
    );
    page.more(&shown(&hold.rule_text));
    tree::who(&mut page, hold);
    if let Some(cause) = &hold.cause {
        let call = if cause.call.is_empty() { String::new() } else { format!(" {}", shown(&cause.call)) };
        let (from, tool) = (shown(&cause.from), shown(&cause.tool));
        page.field("tool call", &format!("says: {tool} ({from}{call}); the link is {}", names::sureness(cause.sure)));
    }
    let stops = if hold.stops > 1 { format!("; stopped {} times", hold.stops) } else { String::new() };
    page.field("since", &format!("{} ({} ago){stops}", shown(&hold.since), words::age(&hold.since, look.now)));
    if !hold.scope.is_empty() {
        page.field("covers", &shown(&hold.scope));
    }
    page.blank();
    match hold.state {
        HoldState::Pending => commands(&mut page, hold),
        HoldState::Deciding | HoldState::Done => decision(&mut page, hold),
    }
    page.text
}

fn headline(page: &mut Page<'_>, hold: &Hold) {
    let look = page.look;
    let state = match (hold.state, &hold.decision) {
        (HoldState::Pending, _) => look.paint(Tone::Careful, "waits for a decision"),
        (HoldState::Deciding, _) => "is being decided".to_owned(),
        (HoldState::Done, Some(decision)) => names::verdict(decision.verdict).to_owned(),
        (HoldState::Done, None) => "is over".to_owned(),
    };
    let who = hold.processes.first().map_or_else(
        || "a process".to_owned(),
        |process| format!("{} (pid {})", words::quoted(&process.comm), process.pid),
    );
    let phrase = names::phrase(&hold.operation.op);
    let act = match hold.context {
        HoldContext::Held => format!("{who} wants to {phrase}"),
        HoldContext::Denied => format!("{who} wanted to {phrase} and was refused"),
        HoldContext::Tripped if hold.operation.op == Op::Exec.name() => format!("trip: {who} wants to {phrase}"),
        HoldContext::Tripped => format!("trip: {who} has done this already: {phrase}"),
    };
    page.line(&format!("{} {state}: {act}", look.paint(Tone::Strong, &shown(&hold.id))));
}

fn what(page: &mut Page<'_>, hold: &Hold) {
    let view = &hold.operation;
    let mut object = words::object(view);
    if object.chars().count() > LONGEST {
        let rest = object.chars().count() - LONGEST;
        object = object.chars().take(LONGEST).collect();
        object.push_str(&format!("… and {rest} more characters: `guardctl show {} -o json`", shown(&hold.id)));
    }
    page.field("what", &format!("{} {object}", shown(&view.op)));
    let mut facts = Vec::new();
    if !view.object_type.is_empty() {
        facts.push(shown(&view.object_type));
        if view.object_type == "file" {
            facts.push(words::bytes(view.size));
        }
    }
    if let Some(own) = view.own {
        facts.push(if own { "made by this agent" } else { "not made by this agent" }.to_owned());
    }
    // Where nothing else names the object, the detail stands there already.
    if !view.detail.is_empty() && object != shown(&view.detail) {
        facts.push(shown(&view.detail));
    }
    if !view.argv.is_empty() && !view.path.is_empty() {
        facts.push(format!("program {}", words::quoted(&view.path)));
    }
    if !facts.is_empty() {
        page.more(&facts.join(", "));
    }
    if !view.doubt.is_empty() {
        let doubt = format!("guard does not know all of it: {}", shown(&view.doubt));
        page.more(&page.look.paint(Tone::Bad, &doubt));
    }
    let (label, much) = match &hold.blast {
        Some(blast) => ("how much", format!("{} below {}", words::blast(blast), words::quoted(&blast.root))),
        None => ("how much", "cannot be counted for this operation".to_owned()),
    };
    page.field(label, &much);
}

/// How it was stopped. Trip never sounds like prevention.
fn how(hold: &Hold) -> &'static str {
    match (hold.context, hold.state) {
        (HoldContext::Held, HoldState::Pending) => "held before it took effect; the process is suspended",
        (HoldContext::Held, HoldState::Deciding | HoldState::Done) => "held before it took effect",
        (HoldContext::Denied, _) => {
            "denied at once, since this call cannot wait; approval lets one try of the same through"
        }
        (HoldContext::Tripped, _) if hold.operation.op == Op::Exec.name() => {
            "trip: stopped before the first instruction of the new program"
        }
        (HoldContext::Tripped, _) => "trip: it HAS ALREADY HAPPENED; the agent was stopped right after it",
    }
}

fn decision(page: &mut Page<'_>, hold: &Hold) {
    if let Some(decision) = &hold.decision {
        page.field(
            "decision",
            &format!(
                "{} ({}) by {} at {}",
                names::verdict(decision.verdict),
                names::scope(decision.scope),
                shown(&decision.by),
                shown(&decision.at)
            ),
        );
        if !decision.note.is_empty() {
            page.field("note", &shown(&decision.note));
        }
    }
    match hold.outcome {
        Some(outcome) => {
            page.field("outcome", &names::outcome_and_result(outcome, hold.context, hold.result.as_ref()));
        }
        None => page.field("outcome", "none yet"),
    }
}

fn commands(page: &mut Page<'_>, hold: &Hold) {
    let (id, agent) = (shown(&hold.id), shown(&hold.agent));
    let approve = match hold.context {
        HoldContext::Held => "let it go on, and what `covers` says",
        HoldContext::Denied => "let the next try through, and what `covers` says",
        HoldContext::Tripped => "let the process go on, and what `covers` says",
    };
    let deny = match hold.context {
        HoldContext::Held => "it fails with EPERM, the agent goes on",
        HoldContext::Denied => "it stays refused, the agent goes on",
        HoldContext::Tripped => "the process is killed; what happened is not undone",
    };
    let rows = [
        (format!("guardctl approve {id}"), approve),
        (format!("guardctl approve {id} --once"), "only this one operation"),
        (format!("guardctl deny {id} -m REASON"), deny),
        (format!("guardctl kill {id}"), "end the process"),
        (format!("guardctl kill {agent}"), "end the whole agent"),
    ];
    let width = rows.iter().map(|(command, _)| command.chars().count()).max().unwrap_or(0);
    for (command, meaning) in rows {
        let padding = " ".repeat(width - command.chars().count());
        page.line(&format!("  {}{padding}  {meaning}", page.look.paint(Tone::Strong, &command)));
    }
}
