//! The tables of holds and agents, and a hold or a decision on one line.

use super::{
    Look, Tone, names,
    table::{Field, table},
    words,
};
use crate::{
    api::{Agent, AgentState, Event, Hold, HoldContext, Reversibility, Verdict},
    text::shown,
};

pub(crate) fn holds(look: &Look, holds: &[Hold]) -> String {
    let mut header = vec!["ID", "AGE", "AGENT", "OP", "OBJECT", "RULE", "REVERSIBILITY", "BLAST"];
    if look.wide {
        header.extend(["HOW", "STATE", "STOPS", "PROCESS"]);
    }
    // The object is worth more than the rest of the rule's name.
    let rule_width = if look.width.is_some_and(|width| width < 140) { 12 } else { 24 };
    let rows = holds
        .iter()
        .map(|hold| {
            let mut row = vec![
                Field::toned(shown(&hold.id), Tone::Strong),
                Field::new(words::age(&hold.since, look.now)),
                Field::new(narrow(look, agent_name(hold), 12)),
                Field::new(shown(&hold.operation.op)),
                Field::new(words::object(&hold.operation)),
                Field::new(narrow(look, shown(&hold.rule), rule_width)),
                Field::toned(names::reversibility(hold.reversibility), reversibility_tone(hold.reversibility)),
                Field::new(hold.blast.as_ref().map_or("-".to_owned(), words::blast_short)),
            ];
            if look.wide {
                row.extend([
                    Field::new(names::context(hold.context)),
                    Field::new(names::hold_state(hold.state)),
                    Field::new(hold.stops.to_string()),
                    Field::new(hold.processes.first().map_or("-".to_owned(), |process| {
                        format!("{} ({})", words::quoted(&process.comm), process.pid)
                    })),
                ]);
            }
            row
        })
        .collect();
    table(look, &header, rows, 4)
}

pub(crate) fn agents(look: &Look, agents: &[Agent]) -> String {
    let mut header = vec!["ID", "NAME", "POLICY", "STATE", "PROCESSES", "PENDING", "AGE", "WORKSPACE"];
    if look.wide {
        header.extend(["CGROUP", "CGROUP ID"]);
    }
    let rows = agents
        .iter()
        .map(|agent| {
            let tone = match agent.state {
                AgentState::Running => Tone::Good,
                AgentState::Suspended => Tone::Careful,
                AgentState::Empty => Tone::Faint,
            };
            let pending = agent.pending.to_string();
            let mut row = vec![
                Field::toned(shown(&agent.id), Tone::Strong),
                Field::new(dash(words::quoted(&agent.name))),
                Field::new(dash(words::quoted(&agent.policy))),
                Field::toned(names::agent_state(agent.state), tone),
                Field::new(agent.processes.to_string()),
                if agent.pending > 0 { Field::toned(pending, Tone::Careful) } else { Field::new(pending) },
                Field::new(words::age(&agent.since, look.now)),
                Field::new(dash(words::quoted(&agent.workspace))),
            ];
            if look.wide {
                row.extend([Field::new(words::quoted(&agent.cgroup)), Field::new(agent.cgroup_id.to_string())]);
            }
            row
        })
        .collect();
    table(look, &header, rows, 7)
}

/// `approved h3 (for the process): unlink /srv/data/a`
pub(crate) fn decided(look: &Look, hold: &Hold) -> String {
    let what = format!("{} {}", shown(&hold.operation.op), object(look, hold));
    let id = shown(&hold.id);
    match &hold.decision {
        Some(decision) => {
            let scope = match decision.verdict {
                Verdict::Approve | Verdict::Deny => format!(" ({})", names::scope(decision.scope)),
                Verdict::Kill => String::new(),
            };
            format!("{} {id}{scope}: {what}", names::verdict(decision.verdict))
        }
        None => format!("{id} was not decided: {what}"),
    }
}

/// What became of it, or why nothing did yet.
pub(crate) fn outcome(hold: &Hold) -> String {
    let id = shown(&hold.id);
    match (hold.outcome, hold.context, &hold.decision) {
        (Some(outcome), context, _) => names::outcome_and_result(outcome, context, hold.result.as_ref()),
        (None, HoldContext::Denied, Some(_)) => {
            "it was refused when it was tried; the decision waits for the agent to try again".to_owned()
        }
        (None, HoldContext::Held | HoldContext::Tripped, Some(_)) => {
            format!("no outcome yet, `guardctl show {id}` will say it")
        }
        (None, _, None) => "it waits for a decision".to_owned(),
    }
}

/// Both on one line.
pub(crate) fn decided_and_outcome(look: &Look, hold: &Hold) -> String {
    format!("{}; {}", decided(look, hold), outcome(hold))
}

/// One event of `pending --watch` where nobody can redraw.
pub(crate) fn event(look: &Look, event: &Event) -> String {
    match event {
        Event::Held { hold } => format!(
            "held {} {}: {} {} [{}, {}]{}",
            shown(&hold.id),
            agent_name(hold),
            shown(&hold.operation.op),
            object(look, hold),
            shown(&hold.rule),
            names::reversibility(hold.reversibility),
            hold.blast.as_ref().map_or(String::new(), |blast| format!(" {}", words::blast_short(blast))),
        ),
        Event::Decided { hold } => {
            let by = hold.decision.as_ref().map_or(String::new(), |decision| shown(&decision.by));
            format!("{}, by {by}", decided(look, hold))
        }
        Event::Finished { hold } | Event::Result { hold } => format!("{} {}", shown(&hold.id), outcome(hold)),
        Event::Agent { agent } => format!("agent {} is {}", shown(&agent.id), names::agent_state(agent.state)),
        Event::Status { status } => format!("status: {}", shown(&status.summary)),
        Event::Ping => "ping".to_owned(),
    }
}

fn object(look: &Look, hold: &Hold) -> String {
    let object = words::object(&hold.operation);
    match look.width {
        Some(width) if !look.wide => words::shorten(&object, width.saturating_sub(40).max(40)),
        _ => object,
    }
}

fn agent_name(hold: &Hold) -> String {
    if hold.agent_name.is_empty() { shown(&hold.agent) } else { words::quoted(&hold.agent_name) }
}

/// Leaves the room on a terminal to the object.
fn narrow(look: &Look, text: String, width: usize) -> String {
    if look.width.is_some() && !look.wide { words::shorten(&text, width) } else { text }
}

/// The quotes around nothing say less than a dash.
fn dash(text: String) -> String {
    if text == "''" { "-".to_owned() } else { text }
}

pub(crate) fn reversibility_tone(reversibility: Reversibility) -> Tone {
    match reversibility {
        Reversibility::Reversible => Tone::Good,
        Reversibility::Partial => Tone::Careful,
        Reversibility::Irreversible => Tone::Bad,
    }
}
