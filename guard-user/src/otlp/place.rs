//! Which trace a span belongs to, and which span is above it: by what the agent's own telemetry left in its environment, by the
//! tool calls it told of, and by its processes.
#![forbid(unsafe_code)]

use std::collections::{HashMap, VecDeque};

use super::{
    record::Record,
    span::{Context, Place, SpanId, TraceId},
};
use crate::daemon::clock::SECOND;

/// Tool calls that are remembered; execs of one that is over come late.
const CALLS: usize = 1_024;
/// Processes whose last program is remembered, at least.
const PROGRAMS: usize = 8_192;
/// A call whose end nobody told is taken for over; as guardd does.
pub(super) const LONGEST: u64 = 3_600 * SECOND;

/// A call of one of its tools that an agent told of.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) told: Record,
    /// On the boot clock.
    pub(super) since: u64,
    until: Option<u64>,
    /// What its own telemetry has around it.
    outer: Option<Context>,
    pub(super) context: Context,
}

/// What a process executed last.
#[derive(Clone, Copy, Debug)]
struct Program {
    /// Of the process, on the boot clock.
    start: u64,
    at: u64,
    context: Context,
    /// Number of the record of the tool call it is below.
    call: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Places {
    calls: VecDeque<Call>,
    /// By number of the process. What is not looked for is forgotten with `earlier`.
    programs: HashMap<u64, Program>,
    earlier: HashMap<u64, Program>,
}

/// The span of an agent itself. Its trace is the one for all that belongs to no other: the same whenever it is made.
pub(super) fn of_agent(record: &Record) -> Context {
    let (boot, agent) = (record.text("boot"), record.text("agent"));
    Context { trace: TraceId::of(&[boot, "trace", agent]), span: SpanId::of(&[boot, "agent", agent]) }
}

/// Directly below an agent.
pub(super) fn below_agent(record: &Record) -> Place {
    let agent = of_agent(record);
    Place { trace: agent.trace, parent: (!record.text("agent").is_empty()).then_some(agent.span), link: None }
}

fn below(context: Context) -> Place {
    Place { trace: context.trace, parent: Some(context.span), link: None }
}

impl Call {
    pub(super) fn place(&self) -> Place {
        self.outer.map_or_else(|| below_agent(&self.told), below)
    }

    fn number(&self) -> u64 {
        self.told.number("seq")
    }

    fn is_open(&self, at: u64) -> bool {
        self.since <= at && self.until.is_none_or(|until| at <= until) && at - self.since <= LONGEST
    }

    /// Whether a record about its agent tells of the same call.
    fn is(&self, record: &Record) -> bool {
        let (own, other) = (&self.told["tool_call"], &record["tool_call"]);
        let same = |field: &str| own[field] == other[field];
        // Not every agent has numbers for its calls.
        same("from") && same("session") && same("call") && (!own["call"].is_null() || same("tool"))
    }
}

impl Places {
    /// A call begins. Answers the oldest one where there is no room, if it has not ended.
    pub(super) fn began(&mut self, told: Record) -> Option<Call> {
        let outer = told["tool_call"]["traceparent"].as_str().and_then(Context::parse);
        let trace = outer.map_or_else(|| of_agent(&told).trace, |outer| outer.trace);
        let context = Context { trace, span: told.span() };
        let oldest = if self.calls.len() >= CALLS { self.calls.pop_front() } else { None };
        self.calls.push_back(Call { since: told.at(), told, until: None, outer, context });
        oldest.filter(|call| call.until.is_none())
    }

    /// A call is over, as a record says.
    pub(super) fn ended(&mut self, record: &Record) -> Option<Call> {
        let at = record.at();
        let is_it = |call: &&mut Call| {
            call.until.is_none() && call.told["agent"] == record["agent"] && call.is_open(at) && call.is(record)
        };
        let call = self.calls.iter_mut().rev().find(is_it)?;
        call.until = Some(at);
        Some(call.clone())
    }

    /// The calls that are over without a word of it.
    pub(super) fn abandoned(&mut self, at: u64, is_over: impl Fn(&Call) -> bool) -> Vec<Call> {
        let open = self.calls.iter_mut().filter(|call| call.until.is_none() && is_over(call));
        open.map(|call| {
            call.until = Some(at);
            call.clone()
        })
        .collect()
    }

    /// A process executes something. It is below what the process, or the nearest one above it, executed before. The first
    /// ones of an agent are below the tool call that was under way, if it was one alone.
    pub(super) fn executed(&mut self, record: &Record) -> Place {
        let at = record.at();
        let processes = record["processes"].as_array().map_or(0, Vec::len);
        let above = (0..processes).find_map(|number| {
            let start = record["starts"][number].as_u64().unwrap_or(0);
            let known = self.program(record["processes"][number]["pid"].as_u64()?)?;
            (start == 0 || known.start == 0 || start == known.start).then_some(known)
        });
        let under_way = self.alone(record, at).filter(|_| above.is_none_or(|above| above.call.is_none()));
        let call = under_way.map_or_else(|| above.and_then(|above| above.call), |call| Some(call.number()));
        let place = match (under_way, above) {
            (Some(call), _) => below(call.context),
            (None, Some(above)) => below(above.context),
            (None, None) => below_agent(record),
        };
        let start = record["starts"][0].as_u64().unwrap_or(0);
        let context = Context { trace: place.trace, span: record.span() };
        self.remember(record.number("pid"), Program { start, at, context, call });
        place
    }

    /// Of an operation: in the trace that its process says it is part of, else in that of the tool call it came from, else in
    /// that of its process or its agent.
    pub(super) fn of_operation(&mut self, record: &Record) -> Place {
        let outer = traceparent(record).and_then(Context::parse);
        let at = record.at();
        let above = record["processes"].as_array().into_iter().flatten().filter_map(|process| process["pid"].as_u64());
        let mut pids = record["pid"].as_u64().into_iter().chain(above);
        let program = pids.find_map(|pid| self.program(pid)).filter(|program| program.at <= at);
        let cause = record["cause"]["record"].as_u64();
        let call = self.calls.iter().find(|call| cause == Some(call.number()));
        // A parent is a claim: what is merely possible is a link.
        let sure = matches!(record["cause"]["sure"].as_str(), Some("likely" | "strong"));
        let link = call.map(|call| call.context);
        match (outer, call) {
            (outer, Some(call)) if sure && (outer.is_none() || outer == call.outer) => {
                let own = program.filter(|program| program.call == Some(call.number()));
                below(own.map_or(call.context, |program| program.context))
            }
            (Some(outer), _) => Place { link, ..below(outer) },
            (None, _) => {
                Place { link, ..program.map_or_else(|| below_agent(record), |program| below(program.context)) }
            }
        }
    }

    /// The call of the agent that was under way, unless there were others.
    fn alone(&self, record: &Record, at: u64) -> Option<&Call> {
        let mut open = self.calls.iter().filter(|call| call.told["agent"] == record["agent"] && call.is_open(at));
        let call = open.next()?;
        open.next().is_none().then_some(call)
    }

    fn program(&mut self, pid: u64) -> Option<Program> {
        if let Some(known) = self.programs.get(&pid) {
            return Some(*known);
        }
        let program = self.earlier.remove(&pid)?;
        self.remember(pid, program);
        Some(program)
    }

    fn remember(&mut self, pid: u64, program: Program) {
        if self.programs.len() >= PROGRAMS {
            self.earlier = std::mem::take(&mut self.programs);
        }
        self.programs.insert(pid, program);
    }
}

/// What the process that acts, or the nearest one above it, has in its environment.
fn traceparent(record: &Record) -> Option<&str> {
    let variables = record["environment"].as_array()?;
    variables.iter().find(|variable| variable["name"] == "TRACEPARENT")?["value"].as_str()
}
