//! The page as Markdown: its head, the sums, a table for each section. What stands in the rows is not decided here.

use super::{Kernel, Line, Row, SECTIONS, Section, Status};
use crate::scenarios::lists;

const HEAD: &str = "\
# What each way past guard meets

Written by `cargo xtask coverage` from `tests/src/coverage/`; `cargo xtask coverage --check` says whether it is current, and so
does `cargo test`. A line is one way to get something past guard, or to make it fail, at the gate tier.

| word | meaning |
| --- | --- |
| enforced | held or refused before it takes effect, on this kernel; where a line says what guard must do, it does. The scenario named fails where it is not so |
| audited | seen and told, not prevented; the scenario named fails where it is not told |
| not covered | no scenario proves it, for the reason that is given |
| – | this kernel has no such thing, or another line speaks of it |

What to know when reading it:

- **Guard holds what rules name.** Most scenarios run under [rules of their own](../tests/rules/scenarios.yaml), so an enforced
  line says that guard can hold the operation, not that the [shipped rules](../rules/README.md) do. A line that names a shipped
  rule was shown under the shipped rules. What guard refuses every agent needs no rule.
- A line that says *held* or *refused by … but no scenario proves it yet* has code. It counts as not covered until a scenario
  shows it.
- Command lines of `rules/cases` are run for real under the shipped rules, a ninth of them on each kernel, with stubs for
  programs that would reach elsewhere. One that is run stands here for its rule and kernel, and shows that this line is
  stopped: no more. A copy of the program under another name is not recognised, and whatever does the same without it is
  another line. They stop more than stands here, but which of them run on a kernel changes with the lists.
- The trip tier prevents nothing but the start of programs, so none of its scenarios stands here.
- `cargo xtask test --only NAME` runs one of the scenarios on every kernel.

";

pub(super) fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("| section | enforced | audited | not covered | of these held or refused by code |\n");
    page.push_str("| --- | ---: | ---: | ---: | ---: |\n");
    for section in SECTIONS {
        let [enforced, audited, not_covered, unproven] = sums(section.rows);
        page.push_str(&format!("| {} | {enforced} | {audited} | {not_covered} | {unproven} |\n", section.title));
    }
    let [enforced, audited, not_covered, unproven] = sums(SECTIONS.iter().flat_map(|section| section.rows));
    page.push_str(&format!("| **all lines** | {enforced} | {audited} | {not_covered} | {unproven} |\n"));
    page.push_str("\nA line counts as enforced where it is on every kernel that it is about.\n");
    for section in SECTIONS {
        table(&mut page, section);
    }
    page
}

fn table(page: &mut String, section: &Section) {
    page.push_str(&format!("\n## {}\n\n", section.title));
    let kernels: Vec<&str> = Kernel::ALL.iter().map(|kernel| kernel.name()).collect();
    page.push_str(&format!("| id | what | {} | shown by, or why not |\n", kernels.join(" | ")));
    page.push_str("| --- | --- | --- | --- | --- | --- |\n");
    for row in section.rows {
        page.push_str(&format!("| **{}** | **{}** |  |  |  |  |\n", row.id, row.class));
        for line in row.lines {
            let cells: Vec<&str> = Kernel::ALL.iter().map(|kernel| line.word(*kernel)).collect();
            let [what, reason] = [line.what, &line.reason()].map(|text| text.replace('|', "\\|"));
            page.push_str(&format!("| {} | {what} | {} | {reason} |\n", row.id, cells.join(" | ")));
        }
    }
}

/// Lines that are enforced, audited, not covered; and of the last, those that have code.
fn sums<'a>(rows: impl IntoIterator<Item = &'a Row>) -> [usize; 4] {
    let mut sums = [0; 4];
    for line in rows.into_iter().flat_map(|row| row.lines) {
        match line.status {
            Status::Enforced(_) | Status::CommandLines { .. } if line.is_enforced_everywhere() => sums[0] += 1,
            Status::Audited(_) => sums[1] += 1,
            Status::Enforced(_) | Status::CommandLines { .. } | Status::NotCovered(_) => sums[2] += 1,
            Status::Unproven(_) => {
                sums[2] += 1;
                sums[3] += 1;
            }
        }
    }
    sums
}

impl Line {
    /// What stands under a kernel.
    pub(super) fn word(&self, kernel: Kernel) -> &'static str {
        if !self.kernels.contains(&kernel) {
            return "–";
        }
        match self.status {
            Status::Enforced(_) => "enforced",
            Status::CommandLines { rule, text } if example(rule, text, kernel).is_some() => "enforced",
            Status::Audited(_) => "audited",
            Status::CommandLines { .. } | Status::Unproven(_) | Status::NotCovered(_) => "not covered",
        }
    }

    fn is_enforced_everywhere(&self) -> bool {
        self.kernels.iter().all(|kernel| self.word(*kernel) == "enforced")
    }

    fn reason(&self) -> String {
        let mut reason = match self.status {
            Status::Enforced(names) | Status::Audited(names) => quoted(names),
            Status::CommandLines { rule, text } => {
                let said: Vec<String> = self.kernels.iter().map(|kernel| run_on(rule, text, *kernel)).collect();
                format!("{}, rule `{rule}`: {}", quoted(&[lists::NAME]), said.join("; "))
            }
            Status::Unproven(by) => format!("{by}, but no scenario proves it yet"),
            Status::NotCovered(why) => why.to_owned(),
        };
        if !self.note.is_empty() {
            reason.push_str("; ");
            reason.push_str(self.note);
        }
        reason
    }
}

fn run_on(rule: &str, text: &str, kernel: Kernel) -> String {
    match example(rule, text, kernel) {
        Some(line) => format!("`{line}` on {}", kernel.name()),
        None => format!("none is run on {}", kernel.name()),
    }
}

/// The shortest line with this text that this rule stops and that is run on this kernel. What comes through a pipe, and what
/// a shell puts in, would say less.
fn example(rule: &str, text: &str, kernel: Kernel) -> Option<String> {
    let lines = lists::stopped(kernel.name()).into_iter().filter(|(by, line)| by == rule && line.contains(text));
    lines.map(|(_, line)| line).filter(|line| !line.contains(['`', '\n', '|', '<', '$'])).min_by_key(String::len)
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
