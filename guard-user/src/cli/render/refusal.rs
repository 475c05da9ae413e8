//! What an agent was refused, for the agent itself: what, by which rule, what whoever decided wrote, and what it may do
//! instead. It does not say who decided.

use super::{Look, Tone, names, page::Page, words};
use crate::{api::Refusal, text::shown};

/// A tool cuts off or drops what is longer than 10,000 characters.
const MOST_IN_A_REPLY: usize = 5;

/// Most columns of one value of it there.
const LONGEST_IN_A_REPLY: usize = 300;

/// Said to the agent below all of them.
const WHAT_NOW: &str = "\
A person decided this, or a rule that a person wrote, and the kernel enforces it. Do not look for another way to the same
effect: it meets the same rule, and the person sees it. Do what is said instead, go on without it, or tell the person what
you need and why.";

/// Every refusal, whole.
pub(crate) fn refusals(look: &Look, refusals: &[Refusal]) -> String {
    let mut text = String::new();
    for refusal in refusals {
        text += &one(look, refusal, usize::MAX);
        text.push('\n');
    }
    text + WHAT_NOW
}

/// The same as a hook's words to the agent: after a call there may be many.
pub(crate) fn to_the_agent(refused: &[Refusal]) -> String {
    let look = Look { colour: false, width: None, wide: false, now: jiff::Timestamp::now() };
    let mut text = format!(
        "guard refused {} since this tool call began.\n\n",
        words::counted(refused.len() as u64, "operation", "operations")
    );
    for refusal in refused.iter().take(MOST_IN_A_REPLY) {
        text += &one(&look, refusal, LONGEST_IN_A_REPLY);
        text.push('\n');
    }
    if let Some(more) = refused.len().checked_sub(MOST_IN_A_REPLY).filter(|more| *more > 0) {
        text += &format!("… and {more} more: `guardctl why -n {}`\n\n", refused.len());
    }
    text + WHAT_NOW
}

fn one(look: &Look, refusal: &Refusal, longest: usize) -> String {
    let Refusal { hold, time, verdict, operation, rule, rule_text, note, instead, call } = refusal;
    let mut page = Page::new(look);
    page.line(&format!(
        "{} {}: {}",
        look.paint(Tone::Strong, &shown(hold)),
        names::verdict(*verdict),
        names::phrase(&operation.op)
    ));
    let short = |text: String| words::shorten(&text, longest);
    page.field("what", &short(format!("{} {}", shown(&operation.op), words::object(operation))));
    page.field("why", &short(format!("rule {}", shown(rule))));
    page.more(&short(shown(rule_text)));
    for (label, text) in [("note", note), ("instead", instead), ("call", call)] {
        if !text.is_empty() {
            page.field(label, &short(shown(text)));
        }
    }
    page.field("when", &short(shown(time)));
    page.text
}
