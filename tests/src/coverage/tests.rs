//! The table says nothing of a scenario that is not there, leaves no way out, and is what docs/coverage.md says.

use std::collections::{BTreeMap, BTreeSet};

use super::{Kernel, Line, Row, SECTIONS, Status, print};
use crate::{scenarios, service};

/// Every way past guard that is known: a letter and the last number.
const KNOWN: &[(&str, u32)] = &[
    ("F", 16),
    ("P", 10),
    ("E", 8),
    ("H", 9),
    ("C", 11),
    ("G", 12),
    ("M", 7),
    ("X", 10),
    ("A", 5),
    ("N-", 14),
    ("I", 8),
    ("T", 8),
];

fn rows() -> impl Iterator<Item = &'static Row> {
    SECTIONS.iter().flat_map(|section| section.rows)
}

fn lines() -> impl Iterator<Item = (&'static Row, &'static Line)> {
    rows().flat_map(|row| row.lines.iter().map(move |line| (row, line)))
}

#[test]
fn every_way_is_there_once_and_in_order() {
    let wanted: Vec<String> =
        KNOWN.iter().flat_map(|(letter, last)| (1..=*last).map(move |number| format!("{letter}{number}"))).collect();
    let found: Vec<&str> = rows().map(|row| row.id).collect();
    assert_eq!(found, wanted);
}

#[test]
fn every_scenario_that_is_named_exists() {
    let there: BTreeSet<String> = scenarios::names().into_iter().collect();
    let chapters: BTreeSet<&str> = service::names().collect();
    for (row, line) in lines() {
        let (Status::Enforced(names) | Status::Audited(names)) = line.status else { continue };
        assert!(!names.is_empty(), "{}: nothing shows `{}`", row.id, line.what);
        for name in names {
            assert!(!name.starts_with("trip_"), "{}: the trip tier prevents nothing: {name}", row.id);
            let is_chapter = chapters.contains(name);
            assert!(there.contains(*name) || is_chapter, "{}: there is no scenario {name}", row.id);
            assert!(!is_chapter || line.kernels == Kernel::ALL, "{}: {name} is run on every kernel", row.id);
        }
    }
}

#[test]
fn lines_are_about_some_kernel_and_differ() {
    for row in rows() {
        assert!(!row.lines.is_empty(), "{} says nothing", row.id);
        let mut said: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for line in row.lines {
            assert!(!line.kernels.is_empty(), "{}: `{}` is about no kernel", row.id, line.what);
            for kernel in line.kernels {
                *said.entry((line.what, kernel.name())).or_default() += 1;
            }
        }
        assert!(said.values().all(|count| *count == 1), "{}: said twice of a kernel: {said:?}", row.id);
    }
}

#[test]
fn command_lines_are_run_somewhere() {
    for (row, line) in lines() {
        let Status::CommandLines { rule, text } = line.status else { continue };
        let kernels = Kernel::ALL.iter().filter(|kernel| line.word(**kernel) == "enforced");
        assert!(kernels.count() > 0, "{}: no line of {rule} with {text:?} is run on any kernel", row.id);
    }
}

#[test]
fn the_page_is_current() {
    let page = print::page();
    let file = include_str!("../../../docs/coverage.md");
    let at = page.lines().zip(file.lines()).position(|(page, file)| page != file);
    assert!(page == file, "docs/coverage.md differs at line {at:?}: `cargo xtask coverage` writes it anew");
}
