//! Any bytes as each kind of file that operators write: rules, policies, overrides, cases, settings. What can be read can
//! be compiled, lowered, explained and judged by; what cannot is refused in a sentence.

use std::{fmt::Display, sync::LazyLock};

use super::{SHIPPED, assert_plain, scope};
use crate::{
    cli::{
        render::{Look, rules as render},
        rules::check::Checked,
    },
    daemon::config,
    rules::{
        agent_policy,
        case::Cases,
        compile::Rules,
        error::RulesError,
        overrides::{Change, Overrides},
    },
};

/// No rule of a few kilobytes takes more of the kernel's tables.
const MOST: usize = 100_000;

/// Before any file is read. What is known of programs is part of it, and takes long to read.
static NONE: LazyLock<Rules> = LazyLock::new(|| Rules::none().expect("the built-in tools are right"));

/// Reads `bytes` as a rules file and as what stands beside one.
pub fn rules(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match NONE.and(text, "fuzz.yaml") {
        Ok(rules) => {
            used(&rules);
            if let Err(error) = rules.check_exceptions(text, "fuzz.yaml") {
                refused(&error);
            }
        }
        Err(error) => refused(&error),
    }
    // An agent brings its own rules, which only add.
    match SHIPPED.with(text, "rules of the agent") {
        Ok(more) => assert!(more.len() >= SHIPPED.len(), "rules were taken away"),
        Err(error) => refused(&error),
    }
    beside(text);
}

/// Everything that is done with rules that are right.
fn used(rules: &Rules) {
    let look = look();
    let policy = rules.policy(&scope());
    let tables = policy.tables();
    let entries = tables.paths.len() + tables.names.len() + tables.ports.len() + tables.addresses.len();
    assert!(entries <= MOST, "{entries} entries in the kernel's tables");
    for (directory, _) in &tables.paths {
        let fits = directory.len() <= guard_common::table::PREFIX_MAX;
        assert!(directory.ends_with(b"/") && fits, "{directory:?} is no directory the kernel can look up");
    }
    assert_plain(&render::explained(&look, &rules.explain(&scope())));
    assert_plain(&render::list(&look, &rules.summary()));
    let checked = Checked { rules: rules.len(), warnings: rules.warnings(&scope(), &|_| None) };
    assert_plain(&render::checked(&look, &checked));
    renamed(rules);
}

/// What is not rules, read against the rules that come with guard.
fn beside(text: &str) {
    match Cases::read(text, "cases.yaml", &SHIPPED) {
        Ok(cases) => {
            let tried = cases.run(&SHIPPED).expect("they were read with these rules");
            assert_plain(&render::tried(&look(), &tried));
        }
        Err(error) => refused(&error),
    }
    match Overrides::read(text, "overrides.yaml", &SHIPPED) {
        Ok(overrides) => {
            let again = Overrides::read(&overrides.text(), "overrides.yaml", &SHIPPED);
            assert_eq!(again.expect("what guard writes is right"), overrides);
            assert_eq!(SHIPPED.changed(&overrides).len(), SHIPPED.len(), "a rule came or went");
        }
        Err(error) => refused(&error),
    }
    match agent_policy::File::read(text, "policies.yaml") {
        Ok(file) => policies(file, text),
        Err(error) => refused(&error),
    }
    if let Err(error) = config::parse(text) {
        assert!(!error.is_empty());
    }
}

/// A policy that can be read becomes rules that say the same.
fn policies(file: agent_policy::File, text: &str) {
    let rules = SHIPPED.clone().with_labels(file.labels());
    let wanted = file.read_only();
    match file.policies(text, "policies.yaml", &rules) {
        Ok(policies) => {
            for (policy, wanted) in policies.iter().zip(wanted) {
                assert_eq!(policy.read_only(), wanted, "other paths than the policy names");
            }
            let rules = rules.with_policies(policies.clone());
            for policy in policies {
                let fitted = rules.policy_named(&policy.name, &scope(), None);
                assert!(!fitted.expect("the policy is there").tables().paths.is_empty());
            }
        }
        // What guard itself made of a policy is never what is wrong.
        Err(RulesError::Invalid(mistake)) => assert_eq!(mistake.origin, "policies.yaml", "{mistake}"),
        Err(error) => refused(&error),
    }
}

/// A name of a rule may be written back by guard, whatever it looks like to YAML.
fn renamed(rules: &Rules) {
    let mut overrides = Overrides::default();
    for rule in rules.summary() {
        overrides.set(&rule.name, Change { enabled: Some(false), mode: None });
    }
    let again = Overrides::read(&overrides.text(), "overrides.yaml", rules);
    assert_eq!(again.unwrap_or_else(|error| panic!("{error}\n{}", overrides.text())), overrides);
}

/// A refusal is a sentence that a terminal can show.
fn refused(error: &dyn Display) {
    let text = error.to_string();
    assert!(!text.trim().is_empty());
    assert_plain(&text);
}

fn look() -> Look {
    Look { colour: false, width: Some(100), wide: true, now: jiff::Timestamp::UNIX_EPOCH }
}
