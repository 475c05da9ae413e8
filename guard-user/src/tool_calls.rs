//! Which call of an agent's tool an operation came from: joined from what the agent said and what the kernel knows. What
//! an agent says is never taken for a fact: every answer says how sure it is, and why. Pure state, no IO.
#![forbid(unsafe_code)]

use std::{collections::VecDeque, path::Path};

use serde_json::Value;

use crate::{
    api::{Cause, Evidence, Phase, Process, Sureness, ToolCall},
    daemon::clock::SECOND,
    operation::Operation,
};

/// Calls that are remembered of one agent, and of all.
const OF_ONE: usize = 64;
const OF_ALL: usize = 1_024;
/// Sessions of one agent whose last prompt is remembered.
const SESSIONS: usize = 8;
/// A call whose end nobody told is taken for over.
const LONGEST: u64 = 3_600 * SECOND;
/// How far above the hook the agent's own process may be: some start their hooks through a shell, or two.
const ABOVE_HOOK: usize = 3;
/// A shorter command is in too many others.
const TELLING: usize = 8;
/// Texts of a call's input that are compared with an operation's paths.
const TEXTS: usize = 64;

/// A process that is not taken for a later one with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    pub pid: u32,
    /// Its start, in clock ticks since boot.
    pub start_ticks: u64,
}

/// One call an agent told of.
#[derive(Debug)]
struct Told {
    /// Number of its record.
    record: u64,
    agent: u64,
    from: String,
    session: String,
    call: String,
    tool: String,
    /// Without what quoting changes.
    command: String,
    cwd: String,
    /// Every text in its input.
    texts: Vec<String>,
    /// The hook that told it, then the processes above.
    hook: Vec<Link>,
    /// On the boot clock.
    since: u64,
    until: Option<u64>,
}

/// What is known of whoever acts.
#[derive(Clone, Copy, Debug)]
pub struct Acting<'a> {
    pub agent: u64,
    pub operation: &'a Operation,
    /// The acting process, then those above it.
    pub links: &'a [Link],
    /// The same, as far as `/proc` told.
    pub processes: &'a [Process],
    /// When it acted, on the boot clock.
    pub at: u64,
}

/// The last calls of every agent.
#[derive(Debug, Default)]
pub struct ToolCalls {
    told: VecDeque<Told>,
    /// What a person asked for last, by agent, tool and session. Not every agent says it again with each call.
    prompts: VecDeque<(u64, String, String, String)>,
}

impl ToolCalls {
    /// An agent says that a call begins, or is over.
    pub fn told(&mut self, agent: u64, record: u64, call: &ToolCall, hook: &[Link], at: u64) {
        match call.phase {
            Phase::Before if call.tool.is_empty() => self.asked(agent, call),
            Phase::Before => self.began(agent, record, call, hook, at),
            Phase::After => {
                if let Some(told) = self.told.iter_mut().rev().find(|told| told.is_open(at) && told.is(agent, call)) {
                    told.until = Some(at);
                }
            }
        }
    }

    fn asked(&mut self, agent: u64, call: &ToolCall) {
        self.prompts.retain(|(of, from, session, _)| (*of, from, session) != (agent, &call.from, &call.session));
        let own = self.prompts.iter().filter(|(of, ..)| *of == agent).count();
        let oldest = self.prompts.iter().position(|(of, ..)| *of == agent).filter(|_| own >= SESSIONS);
        if let Some(oldest) = oldest {
            self.prompts.remove(oldest);
        }
        self.prompts.push_back((agent, call.from.clone(), call.session.clone(), call.prompt.clone()));
    }

    /// What a person asked for last in the session of a call that begins, if the agent told it before; else nothing.
    #[must_use]
    pub fn prompt(&self, agent: u64, call: &ToolCall) -> String {
        let is_call = call.phase == Phase::Before && !call.tool.is_empty();
        let same = |(of, from, session, _): &&(u64, String, String, String)| {
            is_call && (*of, from, session) == (agent, &call.from, &call.session)
        };
        self.prompts.iter().find(same).map(|(.., prompt)| prompt.clone()).unwrap_or_default()
    }

    fn began(&mut self, agent: u64, record: u64, call: &ToolCall, hook: &[Link], at: u64) {
        let own = self.told.iter().filter(|told| told.agent == agent).count();
        let oldest = self.told.iter().position(|told| told.agent == agent).filter(|_| own >= OF_ONE);
        if let Some(oldest) = oldest {
            self.told.remove(oldest);
        } else if self.told.len() >= OF_ALL {
            self.told.pop_front();
        }
        let mut texts = Vec::new();
        collect(&call.input, &mut texts);
        self.told.push_back(Told {
            record,
            agent,
            from: call.from.clone(),
            session: call.session.clone(),
            call: call.call.clone(),
            tool: call.tool.clone(),
            command: bare(&call.command),
            cwd: call.cwd.clone(),
            texts,
            hook: hook.to_vec(),
            since: at,
            until: None,
        });
    }

    /// When the call that is over began, on the boot clock.
    #[must_use]
    pub fn began_at(&self, agent: u64, call: &ToolCall) -> Option<u64> {
        self.told.iter().rev().find(|told| told.is(agent, call)).map(|told| told.since)
    }

    /// The agent is gone.
    pub fn forget(&mut self, agent: u64) {
        self.told.retain(|told| told.agent != agent);
        self.prompts.retain(|(of, ..)| *of != agent);
    }

    /// The call an operation most likely came from; `None` when there is no reason to name one.
    #[must_use]
    pub fn cause(&self, acting: &Acting<'_>) -> Option<Cause> {
        let own = || self.told.iter().filter(|told| told.agent == acting.agent && told.since <= acting.at);
        let fits = |told: &&Told| told.is_open(acting.at) && told.is_above(acting.links);
        let alone = own().filter(fits).count() == 1;
        let judged = own().filter_map(|told| {
            let because = told.evidence(acting);
            let sure = sureness(&because, alone)?;
            Some((sure, told, because))
        });
        let (sure, told, because) = judged.max_by_key(|(sure, told, _)| (*sure, told.record))?;
        Some(Cause {
            record: told.record,
            from: told.from.clone(),
            session: told.session.clone(),
            call: told.call.clone(),
            tool: told.tool.clone(),
            sure,
            because,
        })
    }
}

/// `alone`: no other call of these processes was under way.
fn sureness(because: &[Evidence], alone: bool) -> Option<Sureness> {
    let has = |evidence| because.contains(&evidence);
    let same = has(Evidence::Argv) || has(Evidence::Object);
    match (has(Evidence::Tree), same, has(Evidence::Time)) {
        (true, true, true) => Some(Sureness::Strong),
        // It goes on after the call, or somebody else's child does it.
        (true, true, false) | (false, true, true) => Some(Sureness::Likely),
        (true, false, true) if alone => Some(Sureness::Likely),
        (true, false, true) | (false, false, true) => Some(Sureness::Possible),
        (_, _, false) => None,
    }
}

impl Told {
    fn is(&self, agent: u64, call: &ToolCall) -> bool {
        let same = self.agent == agent && self.from == call.from && self.session == call.session;
        // Not every agent has numbers for its calls.
        same && self.call == call.call && (!call.call.is_empty() || self.tool == call.tool)
    }

    fn is_open(&self, at: u64) -> bool {
        self.since <= at && self.until.is_none_or(|until| at <= until) && at - self.since <= LONGEST
    }

    /// The agent's process that had its hook tell of the call is one of these.
    fn is_above(&self, links: &[Link]) -> bool {
        self.hook.iter().skip(1).take(ABOVE_HOOK).any(|link| links.contains(link))
    }

    fn evidence(&self, acting: &Acting<'_>) -> Vec<Evidence> {
        let operation = acting.operation;
        let of_exec: Vec<String> =
            operation.argv.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
        let all = || acting.processes.iter().map(|process| &process.argv).chain([&of_exec]);
        // One argument, as a shell is given it, or all of them.
        let argv = || all().flat_map(|argv| argv.iter().cloned().chain([argv.concat()]));
        let runs = |text: String| {
            let text = bare(&text);
            text == self.command || self.command.len() >= TELLING && text.contains(&self.command)
        };
        let paths = [&operation.path, &operation.other_path];
        let names = |text: &String| paths.iter().any(|path| **path == Path::new(&self.cwd).join(text));
        [
            (Evidence::Tree, self.is_above(acting.links)),
            (Evidence::Argv, !self.command.is_empty() && argv().any(runs)),
            (Evidence::Object, self.texts.iter().filter(|text| !text.is_empty()).any(names)),
            (Evidence::Cwd, !self.cwd.is_empty() && acting.processes.iter().any(|process| process.cwd == self.cwd)),
            (Evidence::Time, self.is_open(acting.at)),
        ]
        .into_iter()
        .filter_map(|(evidence, found)| found.then_some(evidence))
        .collect()
    }
}

/// A command as it is however it is quoted: agents wrap what a shell is to run.
fn bare(command: &str) -> String {
    command.chars().filter(|letter| !letter.is_whitespace() && !matches!(letter, '\'' | '"' | '\\')).collect()
}

fn collect(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) if texts.len() < TEXTS => texts.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
        Value::Object(fields) => fields.values().for_each(|value| collect(value, texts)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::daemon::testing::unlink;

    const AGENT: u64 = 1;

    fn link(pid: u32) -> Link {
        Link { pid, start_ticks: u64::from(pid) * 10 }
    }

    fn links(pids: &[u32]) -> Vec<Link> {
        pids.iter().map(|pid| link(*pid)).collect()
    }

    fn call(id: &str, command: &str) -> ToolCall {
        ToolCall {
            from: "claude-code".to_owned(),
            session: "s".to_owned(),
            call: id.to_owned(),
            tool: "Bash".to_owned(),
            command: command.to_owned(),
            cwd: "/srv/project".to_owned(),
            ..ToolCall::default()
        }
    }

    fn process(pid: u32, argv: &[&str]) -> Process {
        let argv = argv.iter().map(|argument| (*argument).to_owned()).collect();
        let cwd = "/srv/project".to_owned();
        let (user, comm, exe) = (String::new(), String::new(), String::new());
        Process { pid, ppid: 0, uid: 1000, user, comm, exe, argv, cwd }
    }

    /// `rm` below a shell below the agent, which is process 20.
    fn asked(calls: &ToolCalls, shell: &str, at: u64) -> Option<(String, Sureness)> {
        let operation = unlink(40, "/srv/data/a");
        let processes = [process(40, &["rm", "-rf", "data"]), process(30, &["bash", "-c", shell]), process(20, &[])];
        let links = links(&[40, 30, 20]);
        let acting = Acting { agent: AGENT, operation: &operation, links: &links, processes: &processes, at };
        calls.cause(&acting).map(|cause| (cause.call, cause.sure))
    }

    fn said(id: &str, sure: Sureness) -> Option<(String, Sureness)> {
        Some((id.to_owned(), sure))
    }

    #[test]
    fn what_runs_the_command_of_a_call_below_its_agent_came_from_it() {
        let mut calls = ToolCalls::default();
        let (hook, command) = (links(&[25, 24, 20]), "rm -rf '../data'");
        calls.told(AGENT, 5, &call("one", command), &hook, 100);
        calls.told(AGENT, 6, &call("two", "cargo test"), &hook, 100);
        let wrapped = r#"source /tmp/x && eval 'rm -rf '"'"'../data'"'"'' < /dev/null"#;
        assert_eq!(asked(&calls, wrapped, 200), said("one", Sureness::Strong));
        assert_eq!(asked(&calls, wrapped, 50), None, "before anybody spoke of it");
        assert_eq!(asked(&calls, "other", 200), said("two", Sureness::Possible), "two are under way");
        calls.told(AGENT, 7, &ToolCall { phase: Phase::After, ..call("two", "") }, &hook, 300);
        assert_eq!(asked(&calls, "other", 400), said("one", Sureness::Likely), "no other is under way");
        calls.told(AGENT, 8, &ToolCall { phase: Phase::After, ..call("one", "") }, &hook, 500);
        assert_eq!(asked(&calls, wrapped, 600), said("one", Sureness::Likely), "left running");
        assert_eq!(asked(&calls, "other", 600), None);
        assert_eq!(calls.began_at(AGENT, &call("one", "")), Some(100));
    }

    #[test]
    fn another_agent_and_another_process_are_not_taken_for_it() {
        let mut calls = ToolCalls::default();
        calls.told(2, 5, &call("others", "rm -rf data"), &links(&[25, 20]), 100);
        assert_eq!(asked(&calls, "rm -rf data", 200), None);
        let reused = [link(25), Link { pid: 20, start_ticks: 7 }];
        calls.told(AGENT, 6, &call("earlier", "make"), &reused, 100);
        assert_eq!(asked(&calls, "rm -rf data", 200), said("earlier", Sureness::Possible));
        // An agent of which only the number is known, and the agent's own process.
        calls.told(AGENT, 7, &call("own", "make"), &links(&[26, 20]), 100);
        assert_eq!(asked(&calls, "rm -rf data", 200), said("own", Sureness::Likely));
        calls.forget(AGENT);
        assert_eq!(asked(&calls, "rm -rf data", 200), None);
    }

    #[test]
    fn a_prompt_is_remembered_for_the_calls_of_its_session() {
        let mut calls = ToolCalls::default();
        let prompt = |text: &str| ToolCall { tool: String::new(), prompt: text.to_owned(), ..call("", "") };
        calls.told(AGENT, 1, &prompt("first"), &links(&[25, 20]), 10);
        calls.told(AGENT, 2, &prompt("tidy up"), &links(&[25, 20]), 20);
        assert_eq!(calls.prompt(AGENT, &call("one", "ls")), "tidy up");
        let over = ToolCall { phase: Phase::After, ..call("one", "ls") };
        let other = ToolCall { session: "t".to_owned(), ..call("one", "ls") };
        assert_eq!(
            (calls.prompt(AGENT, &over), calls.prompt(AGENT, &other), calls.prompt(2, &call("one", ""))),
            Default::default()
        );
        for number in 0..100 {
            calls.told(AGENT, 3, &ToolCall { session: number.to_string(), ..prompt("x") }, &links(&[25, 20]), 30);
        }
        assert_eq!(calls.prompts.len(), SESSIONS);
        assert_eq!(asked(&calls, "ls", 40), None, "a prompt is no call");
    }

    #[test]
    fn a_command_may_run_without_a_shell() {
        let mut calls = ToolCalls::default();
        calls.told(AGENT, 5, &call("one", "rm -rf  data"), &links(&[25, 20]), 100);
        calls.told(AGENT, 6, &call("two", "ls"), &links(&[25, 20]), 100);
        assert_eq!(asked(&calls, "", 200), said("one", Sureness::Strong));
    }

    #[test]
    fn a_path_in_the_input_is_the_object() {
        let mut calls = ToolCalls::default();
        let mut edit = call("edit", "");
        (edit.tool, edit.input) = ("Write".to_owned(), json!({"edits": [{"file_path": "/srv/data/a"}]}));
        calls.told(AGENT, 5, &edit, &links(&[25, 20]), 100);
        assert_eq!(asked(&calls, "", 200), said("edit", Sureness::Strong));
        edit.input = json!({"file_path": "../data/a"});
        calls.forget(AGENT);
        calls.told(AGENT, 5, &edit, &links(&[25, 20]), 100);
        assert_eq!(asked(&calls, "", 200), said("edit", Sureness::Likely), "no path is looked up for it");
    }

    #[test]
    fn an_agent_that_tells_of_many_calls_pushes_out_its_own() {
        let mut calls = ToolCalls::default();
        calls.told(2, 1, &call("others", ""), &links(&[9]), 1);
        for number in 0..500 {
            calls.told(AGENT, number + 2, &call(&number.to_string(), ""), &links(&[25, 20]), number);
        }
        assert_eq!(calls.told.len(), 1 + OF_ONE);
        assert_eq!(calls.began_at(AGENT, &call("499", "")), Some(499));
        assert_eq!(calls.began_at(2, &call("others", "")), Some(1));
    }
}
