//! How long people and agents wait: from the match to `guardctl pending`, and from the decision to the end of the
//! call. Through the same programs a person uses, so their start is part of the figure.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{Measure, kernel, machine};
use crate::{
    guard::{Guard, Tier},
    patience::until_within,
};

const TIMES: usize = 100;
const PLACE: &str = "/srv/latency";
const RULES: &str = "rules:
  - name: latency
    text: Measured.
    action: hold
    reversibility: irreversible
    match:
      op: delete
      path: /srv/latency/**
";

const METHOD: &str = "two emulated processors, 100 times, includes starting guardctl";

pub(super) fn measure() -> Result<Vec<Measure>> {
    let guard = Guard::start(Tier::Gate, Some(RULES))?;
    fs::create_dir_all(PLACE).with_context(|| format!("cannot make {PLACE}"))?;
    let (mut visible, mut complete) = (Vec::new(), Vec::new());
    for number in 0..TIMES {
        let file = format!("{PLACE}/{number}");
        fs::write(&file, "").context("cannot write")?;
        let mut agent = guard.agent(&format!("date +%s%N > at; exec guard-tests act unlink {file}"))?;
        let hold = guard.held("unlink", &file)?;
        let seen =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).context("the clock is before 1970")?;
        let at: u128 = fs::read_to_string(agent.workspace().join("at"))
            .context("the agent wrote no time")?
            .trim()
            .parse()
            .context("not a time")?;
        visible.push(Duration::from_nanos(u64::try_from(seen.as_nanos().saturating_sub(at)).unwrap_or(u64::MAX)));
        let started = Instant::now();
        guard.decide("approve", &hold)?;
        until_within(Duration::from_secs(10), "the call to complete", || Ok((!fs::exists(&file)?).then_some(())))?;
        complete.push(started.elapsed());
        let ended = agent.end()?;
        ensure!(ended.code == Some(0), "the agent ended with {ended:?}");
    }
    let mut measures = Vec::new();
    for (name, mut values) in
        [("match to visible in guardctl pending", visible), ("guardctl approve to the call's completion", complete)]
    {
        values.sort();
        for (percentile, limit) in [(50, None), (99, Some(10.0))] {
            let at = (values.len() * percentile / 100).min(values.len().saturating_sub(1));
            let value = values.get(at).map_or(f64::NAN, |value| value.as_secs_f64() * 1000.0);
            measures.push(Measure {
                name: format!("{name}, p{percentile}"),
                value: (value * 100.0).round() / 100.0,
                unit: "ms",
                limit,
                kernel: kernel(),
                method: METHOD,
            });
        }
    }
    measures.extend(machine::measure(&guard)?);
    Ok(measures)
}
