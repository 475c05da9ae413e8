//! What the scenarios said, on each kernel: how many passed, what failed, and which lines of the kernel programs each
//! kernel's verifier kept. No machine is started here.

use std::collections::{BTreeMap, BTreeSet};

/// Lines that are left, as `FILE:LINE`, by tier, program and function, and by where that was.
type Kept = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// Gathered from the lines that `guard-tests scenarios` prints.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    /// The scenario that was told of last: a machine that died goes on behind it.
    pub(crate) last: Option<String>,
    failures: Vec<String>,
    kept: Kept,
}

impl Report {
    /// Counts a line and says whether a person wants to see it.
    pub(crate) fn line(&mut self, place: &str, line: &str) -> bool {
        // What a machine died with may be the half of a line, with the next machine's first behind it.
        if let Some(name) = line.strip_prefix("ok ").and_then(timed) {
            self.passed += 1;
            self.last = Some(name.to_owned());
        } else if let Some((name, _)) = line.strip_prefix("FAILED ").and_then(|rest| rest.split_once(": ")) {
            self.failed += 1;
            self.last = Some(name.to_owned());
            self.failures.push(format!("[{place}] {line}"));
        } else if let Some(kept) = line.strip_prefix("kept ") {
            self.kept(place, kept);
            return false;
        }
        !(line.ends_with(" failed") && line.contains(" passed, "))
    }

    /// A part that could not run at all.
    pub(crate) fn broken(&mut self, part: &str, error: &anyhow::Error) {
        self.failed += 1;
        self.failures.push(format!("{part}: {error:#}"));
    }

    /// Says of something that failed, and is counted already, what it was.
    pub(crate) fn explain(&mut self, what: String) {
        self.failures.push(what);
    }

    /// Adds another's.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.failures.extend(other.failures);
        for (program, places) in other.kept {
            self.kept.entry(program).or_default().extend(places);
        }
    }

    /// What failed, a line each.
    pub(crate) fn failures(&self) -> &[String] {
        &self.failures
    }

    /// `TIER PROGRAM FUNCTION FILE:LINE,LINE… …`. A function is compared where it is: what nothing calls, older kernels keep and
    /// newer ones do not; a call that was taken out is a line that lacks in what called.
    fn kept(&mut self, place: &str, text: &str) {
        let mut words = text.split(' ');
        let program: Vec<&str> = words.by_ref().take(3).collect();
        let lines = words.filter_map(|word| word.split_once(':'));
        let lines =
            lines.flat_map(|(file, lines)| lines.split(',').map(move |line| format!("{file}:{line}"))).collect();
        self.kept.entry(program.join(" ")).or_default().insert(place.to_owned(), lines);
    }

    /// Counts as one more test that no verifier took out what another left in, when there were two to compare: a kernel
    /// that wrongly believes a branch is never taken opens a hole without a word.
    pub(crate) fn compare_kernels(&mut self) {
        if self.kept.values().all(|places| places.len() < 2) {
            return;
        }
        let lacking: Vec<String> = self.kept.iter().flat_map(|(program, places)| lacking(program, places)).collect();
        if lacking.is_empty() {
            self.passed += 1;
        } else {
            self.failed += 1;
            self.failures.push(format!("a verifier took out what another kept:\n{}", lacking.join("\n")));
        }
    }
}

/// The name in `NAME NUMBER ms`.
fn timed(text: &str) -> Option<&str> {
    let (name, number) = text.strip_suffix(" ms")?.split_once(' ')?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then_some(name)
}

fn lacking(program: &str, places: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let all: BTreeSet<&String> = places.values().flatten().collect();
    let missing = |(place, kept): (&String, &BTreeSet<String>)| {
        let lines: Vec<&str> = all.iter().filter(|line| !kept.contains(**line)).map(|line| line.as_str()).collect();
        (!lines.is_empty()).then(|| format!("  {program} on {place} lacks {}", lines.join(" ")))
    };
    places.iter().filter_map(missing).collect()
}

#[cfg(test)]
mod tests {
    use super::Report;

    fn report(lines: &[(&str, &str)]) -> Report {
        let mut sum = Report::default();
        for (place, line) in lines {
            let mut one = Report::default();
            one.line(place, line);
            sum.add(one);
        }
        sum
    }

    #[test]
    fn a_machine_that_died_goes_on_behind_what_it_told() {
        let mut report = Report::default();
        for line in ["running 3 scenarios", "ok a 3 ms", "ok bSeaBIOS running 2 scenarios", "ok b 3 ms"] {
            assert!(report.line("6.1", line));
        }
        assert_eq!((report.passed, report.last.as_deref()), (2, Some("b")));
        assert!(report.line("6.1", "FAILED c: why"));
        assert_eq!((report.passed, report.failed, report.last.as_deref()), (2, 1, Some("c")));
        assert_eq!(report.failures(), ["[6.1] FAILED c: why"]);
        assert!(!report.line("6.1", "1 passed, 1 failed"));
    }

    #[test]
    fn a_line_that_one_kernel_took_out_is_a_failure() {
        let mut same = report(&[
            ("6.1", "kept gate file_open file.rs:9 gate.rs:3,5"),
            ("6.12", "kept gate file_open file.rs:9 gate.rs:3,5"),
        ]);
        same.compare_kernels();
        assert_eq!((same.passed, same.failed), (1, 0));
        let mut other = report(&[
            ("6.1", "kept gate file_open file.rs:9 gate.rs:3"),
            ("6.12", "kept gate file_open file.rs:9 gate.rs:3,5"),
        ]);
        other.compare_kernels();
        assert_eq!((other.passed, other.failed), (0, 1));
        assert!(
            other.failures()[0].contains("gate file_open file.rs:9 on 6.1 lacks gate.rs:5"),
            "{:?}",
            other.failures()
        );
    }

    #[test]
    fn a_function_that_one_kernel_has_not_is_not_compared() {
        let mut sum = report(&[
            ("6.1", "kept gate file_open file.rs:9 gate.rs:3"),
            ("6.1", "kept gate file_open path.rs:7 path.rs:7,8"),
            ("6.12", "kept gate file_open file.rs:9 gate.rs:3"),
        ]);
        sum.compare_kernels();
        assert_eq!((sum.passed, sum.failed), (1, 0), "{:?}", sum.failures());
    }

    #[test]
    fn one_kernel_alone_is_not_compared() {
        let mut alone = report(&[
            ("6.1", "kept gate file_open file.rs:9 gate.rs:3"),
            ("6.1", "kept trip sys_exit trip.rs:9 gate.rs:4"),
        ]);
        alone.compare_kernels();
        assert_eq!((alone.passed, alone.failed), (0, 0));
    }
}
