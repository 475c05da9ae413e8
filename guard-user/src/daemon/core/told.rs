//! What agents tell of their tools, and what they are told of what they were refused. An agent says what it likes and as
//! often as it likes: it is written down within bounds, shown as its word, and decides nothing.

use super::{AgentRequest, Answer, Core, Token, budget::Budget};
use crate::{
    api::{Phase, Refusal, ToolCall, ToolCallAnswer, Verdict},
    daemon::record::Kind,
    holds::Hold,
    hook::limits,
    tool_calls::Link,
};

/// What one agent may write of its tools: so many records at once, and these in a second. At 400 bytes without its texts,
/// which compress to a fifth, that is 7 MB a day.
const RECORDS: (u64, u64) = (2_000, 1);
/// The same in bytes of texts: 16 MiB at once, and 172 MB a day, a fortieth of what is kept.
const TEXTS: (u64, u64) = (16 << 20, 2 << 10);
/// Most refusals an agent is told of at once.
const REFUSALS: usize = 20;

/// What one agent has left of these.
#[derive(Clone, Debug)]
pub struct ToldLeft {
    records: Budget,
    texts: Budget,
}

impl Default for ToldLeft {
    fn default() -> Self {
        Self { records: Budget::new(RECORDS.0, RECORDS.1), texts: Budget::new(TEXTS.0, TEXTS.1) }
    }
}

impl Core {
    pub(super) fn told(&mut self, token: Token, agent: u64, by: &str, request: AgentRequest) {
        let answer = match request {
            AgentRequest::ToolCall { call, pid, lineage } => {
                Answer::ToolCall(self.tool_call(agent, by, call, pid, &lineage))
            }
            AgentRequest::Refusals(most) => Answer::Refusals(self.refusals(agent, 0, most.min(REFUSALS))),
        };
        self.reply(token, answer);
    }

    fn tool_call(
        &mut self,
        agent: u64,
        by: &str,
        mut call: Box<ToolCall>,
        pid: u32,
        lineage: &[Link],
    ) -> ToolCallAnswer {
        limits::cut(&mut call);
        let now = self.now.boottime;
        if call.prompt.is_empty() {
            call.prompt = self.tool_calls.prompt(agent, &call);
        }
        let began = self.tool_calls.began_at(agent, &call);
        let record = self.log_tool_call(agent, by, &call, pid);
        self.tool_calls.told(agent, record, &call, lineage, now);
        let refused = match (call.phase, began) {
            (Phase::After, Some(began)) => {
                let mut refused = self.refusals(agent, began, REFUSALS);
                // What came from another call is told after that.
                refused.retain(|refusal| refusal.call.is_empty() || refusal.call == call.call);
                refused.reverse();
                refused
            }
            (Phase::After, None) | (Phase::Before, _) => Vec::new(),
        };
        ToolCallAnswer { refused }
    }

    /// Answers the number of the record, or of the last one when there is none of this.
    fn log_tool_call(&mut self, agent: u64, by: &str, call: &ToolCall, pid: u32) -> u64 {
        let now = self.now.boottime;
        let texts = call.texts();
        let Some(left) = self.agents.get_mut(agent).map(|agent| &mut agent.told) else { return self.seq };
        if !left.records.has_room(now) {
            self.counts.untold += 1;
            return self.seq;
        }
        left.records.spend(1);
        let whole = left.texts.has_room(now);
        if whole {
            left.texts.spend(texts);
        }
        let mut record = self.agent_record(Kind::ToolCall, agent, by.to_owned());
        record.pid = Some(pid);
        record.tool_call = Some(if whole { call.clone() } else { call.without_texts() });
        if !whole {
            record.note = format!("{texts} bytes of texts are left out: this agent wrote too many lately");
        }
        self.log(record, false)
    }

    /// What an agent was refused since a moment on the boot clock, newest first.
    fn refusals(&self, agent: u64, since: u64, most: usize) -> Vec<Refusal> {
        let newest =
            self.holds.iter().rev().filter(|hold| hold.agent == Some(agent) && hold.operation.name.hold >= since);
        newest.filter_map(refusal).take(most).collect()
    }
}

/// `None` while it is not decided, or was approved.
fn refusal(hold: &Hold) -> Option<Refusal> {
    let decision = hold.decision.as_ref().filter(|decision| decision.verdict != Verdict::Approve)?;
    Some(Refusal {
        hold: hold.id(),
        time: decision.at.clone(),
        verdict: decision.verdict,
        operation: super::view::operation(&hold.operation),
        rule: hold.ruling.rule.clone(),
        rule_text: hold.ruling.text.clone(),
        note: decision.note.clone(),
        instead: hold.ruling.instead.clone(),
        call: hold.cause.as_ref().map(|cause| cause.call.clone()).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api;
    use crate::daemon::{
        core::{Effect, Input, Request},
        record::Record,
        testing::{at, core, unlink},
    };

    fn call(phase: Phase, id: &str, prompt: &str) -> ToolCall {
        let tool = "Bash".to_owned();
        ToolCall { phase, call: id.to_owned(), tool, prompt: prompt.to_owned(), ..ToolCall::default() }
    }

    fn tells(core: &mut Core, millisecond: u64, call: ToolCall) -> (Option<Record>, Vec<Refusal>) {
        let lineage = vec![Link { pid: 9, start_ticks: 1 }];
        let request = AgentRequest::ToolCall { call: Box::new(call), pid: 9, lineage };
        let input = Input::Told { token: 1, agent: 1, by: "uid 1000, pid 9".to_owned(), request };
        let (mut record, mut refused) = (None, None);
        for effect in core.handle(at(millisecond), input) {
            match effect {
                Effect::Audit { record: own, .. } if own.kind == Kind::ToolCall => record = Some(*own),
                Effect::Reply { answer: Answer::ToolCall(answer), .. } => refused = Some(answer.refused),
                _other => {}
            }
        }
        (record, refused.expect("an answer"))
    }

    #[test]
    fn an_agent_that_tells_too_much_does_not_fill_the_log() {
        let mut core = core();
        let long = "x".repeat(ToolCall::PROSE);
        let mut written = Vec::new();
        for number in 0..4_000 {
            let call = call(Phase::Before, &number.to_string(), &long);
            written.extend(tells(&mut core, 1, ToolCall { reasoning: long.clone(), ..call }).0);
        }
        let whole = written.iter().filter(|record| record.note.is_empty()).count();
        assert_eq!(written.len(), 2_000);
        assert!((1_000..=1_024).contains(&whole), "{whole}: 16 MiB of 16 KiB each");
        let cut = written.last().expect("there are some");
        assert!(cut.tool_call.as_ref().is_some_and(|call| call.prompt.is_empty() && call.call == "1999"));
        assert!(tells(&mut core, 2_001, call(Phase::Before, "later", "")).0.is_some(), "a second later");
    }

    #[test]
    fn after_a_call_the_agent_hears_what_it_was_refused_meanwhile() {
        let mut core = core();
        assert_eq!(tells(&mut core, 1, call(Phase::Before, "one", "")).1, []);
        for (millisecond, path) in [(2, "/deny/a"), (3, "/hold/b")] {
            let mut operation = unlink(u32::try_from(millisecond).expect("small"), path);
            operation.name.hold = at(millisecond).boottime;
            let _held = core.handle(at(millisecond), Input::Candidate(Box::new(operation)));
        }
        let refused = tells(&mut core, 4, call(Phase::After, "one", "")).1;
        assert_eq!(refused.iter().map(|one| one.operation.path.as_str()).collect::<Vec<_>>(), ["/deny/a"]);
        assert_eq!((refused[0].rule.as_str(), refused[0].verdict), ("deny", Verdict::Deny));
        let decide = api::Decide { verdict: Verdict::Deny, scope: api::Scope::Once, note: "not here".to_owned() };
        let by = "uid 0 (root), pid 7".to_owned();
        let request = Request::Decide { id: "h2".to_owned(), decide };
        let _decided = core.handle(at(5), Input::Request { token: 2, by, request });
        let input = Input::Told { token: 3, agent: 1, by: String::new(), request: AgentRequest::Refusals(9) };
        let effects = core.handle(at(6), input);
        let Some(Effect::Reply { answer: Answer::Refusals(refused), .. }) = effects.last() else {
            panic!("{effects:?}");
        };
        let seen: Vec<_> = refused.iter().map(|one| (one.hold.as_str(), one.note.as_str())).collect();
        assert_eq!(seen, [("h2", "not here"), ("h1", "")], "the newest first");
        assert!(!serde_json::to_string(refused).expect("JSON").contains("root"), "not by whom");
    }
}
