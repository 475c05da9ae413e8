//! Rules as a person reads them: lists, warnings, explanations and the outcome of cases.

use super::{
    Look, Tone,
    table::{Field, table},
    words::counted,
};
use crate::{
    api::Reversibility,
    cli::rules::{change::Changed, check::Checked},
    rules::{
        case::Tried,
        compile::Summary,
        explain::{Cost, Explained},
        syntax::Mode,
    },
    text::shown,
};

pub(crate) fn checked(look: &Look, checked: &Checked) -> String {
    let mut text = String::new();
    for warning in &checked.warnings {
        let head = look.paint(Tone::Careful, "warning");
        let (rule, origin) = (shown(&warning.rule), shown(&warning.origin));
        text.push_str(&format!("{head}: {rule} ({origin}): {}\n", shown(&warning.message)));
    }
    let rules = counted(checked.rules as u64, "rule", "rules");
    let end = match checked.warnings.len() {
        0 => "no warnings".to_owned(),
        many => counted(many as u64, "warning", "warnings"),
    };
    text.push_str(&format!("{}, {end}\n", look.paint(Tone::Good, &format!("{rules} right"))));
    text
}

pub(crate) fn list(look: &Look, rules: &[Summary]) -> String {
    let row = |rule: &Summary| {
        let mut row = vec![
            Field::new(shown(&rule.name)),
            Field::new(shown(&rule.pack)),
            Field::new(rule.action.name()),
            Field::new(reversibility(rule.reversibility)),
            mode(rule),
        ];
        if look.wide {
            row.push(Field::new(shown(&rule.origin)));
        }
        row.push(Field::new(shown(&rule.text)));
        row
    };
    let header: &[&str] = if look.wide {
        &["RULE", "PACK", "ACTION", "REVERSIBILITY", "MODE", "FILE", "TEXT"]
    } else {
        &["RULE", "PACK", "ACTION", "REVERSIBILITY", "MODE", "TEXT"]
    };
    table(look, header, rules.iter().map(row).collect(), header.len() - 1)
}

pub(crate) fn explained(look: &Look, rules: &[Explained]) -> String {
    let one = |explained: &Explained| {
        let rule = &explained.rule;
        let except =
            explained.except.as_ref().map_or_else(String::new, |except| format!(", excepts from {}", shown(except)));
        let mut text = format!(
            "{}: {}, {}{except}\n  {}\n",
            look.paint(Tone::Strong, &shown(&rule.name)),
            rule.action.name(),
            reversibility(rule.reversibility),
            shown(&rule.text)
        );
        section(&mut text, "kernel asks", &explained.kernel);
        section(&mut text, "guardd compares", &explained.daemon);
        section(&mut text, "costs", &costs(&explained.cost));
        section(&mut text, "in", std::slice::from_ref(&rule.origin));
        text
    };
    rules.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn section(text: &mut String, name: &str, lines: &[String]) {
    for (index, line) in lines.iter().enumerate() {
        let name = if index == 0 { name } else { "" };
        text.push_str(&format!("  {name:<16} {}\n", shown(line)));
    }
}

fn costs(cost: &Cost) -> Vec<String> {
    let tables = [
        (cost.paths, "directory", "directories"),
        (cost.names, "name", "names"),
        (cost.ports, "port", "ports"),
        (cost.addresses, "network", "networks"),
    ];
    let used: Vec<String> = tables
        .iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| counted(*count as u64, one, many))
        .collect();
    let mut lines = vec![if used.is_empty() {
        "no entries in the kernel's tables".to_owned()
    } else {
        format!("in the kernel's tables: {}", used.join(", "))
    }];
    if !cost.every.is_empty() {
        lines.push(format!("every {} goes to guardd", cost.every.join(", ")));
    }
    if !cost.nearly_every.is_empty() {
        lines.push(format!("every {} outside of what it leaves out goes to guardd", cost.nearly_every.join(", ")));
    }
    lines
}

pub(crate) fn tried(look: &Look, cases: &[Tried]) -> String {
    let mut text = String::new();
    for case in cases.iter().filter(|case| !case.ok) {
        text.push_str(&format!(
            "{} line {}: {}\n  - {}\n  + {}\n",
            look.paint(Tone::Bad, "failed"),
            case.line,
            shown(&case.case),
            shown(&case.expected.to_string()),
            shown(&case.found.to_string())
        ));
    }
    let failed = cases.iter().filter(|case| !case.ok).count();
    let all = counted(cases.len() as u64, "case", "cases");
    text.push_str(&match failed {
        0 => format!("{}\n", look.paint(Tone::Good, &format!("{all}, all as expected"))),
        many => format!("{all}, {}\n", look.paint(Tone::Bad, &format!("{many} failed"))),
    });
    text
}

fn reversibility(reversibility: Reversibility) -> &'static str {
    match reversibility {
        Reversibility::Reversible => "reversible",
        Reversibility::Partial => "partial",
        Reversibility::Irreversible => "irreversible",
    }
}

fn mode(rule: &Summary) -> Field {
    match (rule.enabled, rule.mode) {
        (false, _) => Field::toned("off", Tone::Bad),
        (true, Mode::Enforce) => Field::new("enforce"),
        (true, Mode::Observe) => Field::toned("observe", Tone::Careful),
    }
}

pub(crate) fn changed(changed: &Changed) -> String {
    let change = &changed.change;
    let mut words = Vec::new();
    words.extend(change.enabled.map(|enabled| if enabled { "switched on" } else { "switched off" }.to_owned()));
    words.extend(change.mode.map(|mode| format!("mode {}", mode.name())));
    let (rule, file) = (shown(&changed.rule), shown(&changed.file));
    format!("{rule}: {} ({file}); `guardctl reload` puts it in force\n", words.join(", "))
}
