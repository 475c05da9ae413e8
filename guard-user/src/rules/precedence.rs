//! Which of several rules decides, as properties over random sets of them. Tests only.

use guard_common::op::Op;
use proptest::{prelude::*, sample::select};

use super::{
    compile::{Rules, Scope},
    judge::{Judgement, judge},
    overrides::{Change, Overrides},
    syntax::Mode,
    tests::{on, rules, scope},
};
use crate::{api::Action, operation::Operation};

/// A rule that matches `/srv/x` or does not, or an exception from the rule before it.
#[derive(Clone, Debug)]
struct Sample {
    action: &'static str,
    matches: bool,
    observes: bool,
    off: bool,
    /// An exception from it that certainly matches.
    excepted: bool,
}

fn sample() -> impl Strategy<Value = Sample> {
    let action = select(&["hold", "deny", "kill"][..]);
    (action, prop::bool::ANY, prop::bool::weighted(0.3), prop::bool::weighted(0.2), prop::bool::weighted(0.3))
        .prop_map(|(action, matches, observes, off, excepted)| Sample { action, matches, observes, off, excepted })
}

impl Sample {
    fn decides(&self) -> bool {
        self.matches && !self.off && !self.excepted
    }

    fn action(&self) -> Action {
        match self.action {
            "hold" => Action::Hold,
            "deny" => Action::Deny,
            _ => Action::Kill,
        }
    }
}

fn built(samples: &[Sample]) -> Rules {
    let mut text = "rules:\n".to_owned();
    let mut overrides = Overrides::default();
    for (index, sample) in samples.iter().enumerate() {
        let path = if sample.matches { "/srv/**" } else { "/other/**" };
        let action = sample.action;
        text.push_str(&format!(
            "  - {{name: r{index}, text: t, action: {action}, reversibility: partial, match: {{op: delete, path: {path}}}}}\n"
        ));
        if sample.excepted {
            text.push_str(&format!(
                "  - {{name: e{index}, text: t, action: allow, except: r{index}, match: {{op: delete, path: /srv/x}}}}\n"
            ));
        }
        let mode = sample.observes.then_some(Mode::Observe);
        overrides.set(&format!("r{index}"), Change { enabled: sample.off.then_some(false), mode });
    }
    rules(&text).changed(&overrides)
}

fn verdict(rules: &Rules, scope: &Scope, operation: &Operation) -> (Option<Action>, bool) {
    match judge(&rules.policy(scope), operation) {
        Judgement::Clear => (None, false),
        Judgement::WouldHold(rule) => (Some(rule.action), true),
        Judgement::Match(rule) => (Some(rule.action), false),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_most_severe_enforced_match_decides_whatever_the_order(samples in prop::collection::vec(sample(), 1..6)) {
        let operation = on(Op::Unlink, "/srv/x");
        let worst = |observes: bool| {
            samples.iter().filter(|sample| sample.decides() && sample.observes == observes).map(Sample::action).max()
        };
        let expected = match (worst(false), worst(true)) {
            (Some(action), _) => (Some(action), false),
            (None, Some(action)) => (Some(action), true),
            (None, None) => (None, false),
        };
        prop_assert_eq!(verdict(&built(&samples), &scope(), &operation), expected);
        let mut reversed = samples.clone();
        reversed.reverse();
        prop_assert_eq!(verdict(&built(&reversed), &scope(), &operation), expected);
    }

    #[test]
    fn an_exception_never_reaches_another_rule(samples in prop::collection::vec(sample(), 1..6)) {
        // Without the exceptions, what decides can only become more severe.
        let operation = on(Op::Unlink, "/srv/x");
        let plain: Vec<Sample> = samples.iter().map(|sample| Sample { excepted: false, ..sample.clone() }).collect();
        let (with, with_observed) = verdict(&built(&samples), &scope(), &operation);
        let (without, without_observed) = verdict(&built(&plain), &scope(), &operation);
        let severity = |action: Option<Action>, observed: bool| (!observed, action);
        prop_assert!(severity(with, with_observed) <= severity(without, without_observed) || with.is_none());
        // Beside the place an exception names, it changes nothing.
        let beside = on(Op::Unlink, "/srv/y");
        prop_assert_eq!(verdict(&built(&samples), &scope(), &beside), verdict(&built(&plain), &scope(), &beside));
    }

    #[test]
    fn an_agent_that_is_only_observed_is_never_stopped(samples in prop::collection::vec(sample(), 1..6)) {
        let observed = Scope { mode: Mode::Observe, ..scope() };
        let operation = on(Op::Unlink, "/srv/x");
        let (action, only_observed) = verdict(&built(&samples), &observed, &operation);
        prop_assert!(only_observed || action.is_none());
        let enforced: Vec<Sample> = samples.iter().map(|sample| Sample { observes: false, ..sample.clone() }).collect();
        prop_assert_eq!(action, verdict(&built(&enforced), &scope(), &operation).0);
    }
}

#[test]
fn an_observed_agent_is_still_kept_from_guard_itself() {
    let none = Rules::none().expect("built-in tools");
    let text = "rules:\n  - {name: own, text: t, action: deny, reversibility: partial, match: {op: delete, path: /etc/guard/**}}\n";
    let operation = on(Op::Unlink, "/etc/guard/x");
    let observed = Scope { mode: Mode::Observe, ..scope() };
    let guard = none.and(text, "guard.yaml (built in)").expect("right");
    assert_eq!(verdict(&guard, &observed, &operation), (Some(Action::Deny), false));
    let other = none.and(text, "/etc/guard/rules.d/own.yaml").expect("right");
    assert_eq!(verdict(&other, &observed, &operation), (Some(Action::Deny), true));
}
