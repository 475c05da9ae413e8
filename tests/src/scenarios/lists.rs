//! The lists of `rules/cases`, for real: what they call destructive is stopped in the kernel, what they call harmless runs,
//! and `guardctl check` says the same beforehand.

use anyhow::{Result, ensure};

use super::{Scenario, short};
use crate::{
    guard::Guard,
    lists::{
        self, Case,
        lead::{Came, Lead},
    },
    setting::Setting,
};

/// Every line on this kernel, one of so many on the others.
const WHOLE: &str = "6.12.";
const SAMPLE: usize = 7;

/// Mismatches shown of a failure.
const SHOWN: usize = 60;

/// Lines that are not run, by what stands in them, and why.
const NOT_RUN: &[(&str, &str)] = &[(":(){", "a fork bomb would slow the rest down")];

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![short(Setting::Shipped, "command_lines_of_both_lists_are_stopped_or_not_as_they_say", run)]
}

/// Lines that were not proven, by the reason.
#[derive(Default)]
struct Unproven(std::collections::BTreeMap<&'static str, Vec<String>>);

fn run(guard: &mut Guard) -> Result<()> {
    let kernel = rustix::system::uname();
    let step = if kernel.release().to_string_lossy().starts_with(WHOLE) { 1 } else { SAMPLE };
    let cases = lists::read(step)?;
    let mut lead = Lead::start(guard)?;
    let mut wrong = Vec::new();
    let mut unproven = Unproven::default();
    let (mut proven, mut late) = (0, 0);
    for case in &cases {
        let foreseen = case.foreseen.action != "allow";
        if foreseen != case.stops || case.foreseen.rule != case.rule {
            wrong.push(format!(
                "{} check says {} {:?}: {}",
                case.place, case.foreseen.action, case.foreseen.rule, case.line
            ));
        }
        if let Some((_, why)) = NOT_RUN.iter().find(|(part, _)| case.line.contains(part)) {
            unproven.add(why, case);
            continue;
        }
        let came = lead.run(case)?;
        late += usize::from(came.late);
        match reason(case, &came) {
            Some(why) => unproven.add(why, case),
            None if came.stopped.is_some() == case.stops => proven += 1,
            None => wrong.push(format!("{} stopped: {:?}: {}", case.place, came.stopped, case.line)),
        }
    }
    drop(lead);
    println!("lists: {proven} of {} lines came out as they say; {late} never ended by themselves", cases.len());
    for (why, places) in &unproven.0 {
        println!("lists: {} lines are not proven here ({why}): {}", places.len(), places.join(" "));
    }
    let shown = wrong.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n");
    ensure!(wrong.is_empty(), "{} lines came out otherwise:\n{shown}", wrong.len());
    ensure!(proven > 0, "no line was run");
    Ok(())
}

/// Why a line says nothing here, where it does not.
fn reason(case: &Case, came: &Came) -> Option<&'static str> {
    if !case.stops || came.stopped.is_some() {
        return None;
    }
    if case.rule.as_deref() == Some("doubt") {
        return Some("check holds what it cannot foresee; nothing that a rule names happened");
    }
    came.by_stub.then_some("a stub stands for the program that would do it")
}

impl Unproven {
    fn add(&mut self, why: &'static str, case: &Case) {
        self.0.entry(why).or_default().push(case.place.clone());
    }
}
