//! What the rules that come with guard cost: their loading, and the judgement of one operation. `cargo xtask bench` runs
//! it where a nanosecond is an instruction, and reads the line it prints.
#![allow(clippy::print_stdout, reason = "the result is a line on standard output")]

use std::time::Instant;

use guard_user::{
    circumstances::{Circumstances, Found, Lineage},
    operation::Operation,
    rules::{
        case::Cases,
        compile::{Policy, Rules, Scope},
        file,
        judge::judge,
    },
};

/// Candidates as agents make them: most are cleared, some are held.
const CASES: &str = "cases:
  - {do: {op: exec, argv: [git, status]}, expect: allow}
  - {do: {op: exec, argv: [git, -C, /srv/x, push, --force-with-lease, origin, main]}, expect: hold}
  - {do: {op: exec, argv: [kubectl, --context, prod, get, pods, -o, wide]}, expect: allow}
  - {do: {op: exec, argv: [psql, -c, 'SELECT a, b FROM t JOIN u USING (id) WHERE a > 3 ORDER BY b']}, expect: allow}
  - {do: {op: exec, argv: [psql, -c, DROP TABLE customers]}, expect: hold}
  - {do: {op: exec, argv: [terraform, plan, -out, plan.bin]}, expect: allow}
  - {do: {op: exec, argv: [aws, --profile, prod, s3, ls, s3://bucket]}, expect: allow}
  - {do: {op: unlink, path: /home/u/work/target/debug/deps/a.o}, expect: allow}
  - {do: {op: unlink, path: /srv/data/a/b/c/customers.db}, expect: hold}
  - {do: {op: open_write, path: /home/u/work/src/main.rs}, expect: allow}
  - {do: {op: open_read, path: /home/u/.ssh/id_ed25519}, expect: hold}
  - {do: {op: connect, address: 192.0.2.7, port: 443}, expect: allow}
";

/// Times each operation is judged.
const TIMES: u32 = 500;

fn main() -> anyhow::Result<()> {
    let started = Instant::now();
    let rules = load()?;
    let loading = started.elapsed();
    let cases = Cases::read(CASES, "judge", &rules).map_err(|error| anyhow::anyhow!("{error}"))?;
    let policy = rules.policy(&cases.scope);
    let mut spent: Vec<f64> = cases.cases.iter().map(|case| judging(&policy, &case.operation)).collect();
    spent.sort_by(f64::total_cmp);
    let (median, dearest) = (spent.get(spent.len() / 2), spent.last());
    let figure = |name: &str, value: f64, unit: &str, limit: Option<f64>| {
        serde_json::json!({
            "name": name, "value": (value * 100.0).round() / 100.0, "unit": unit, "limit": limit, "kernel": "",
            "method": "instructions of the release build as nanoseconds, QEMU -icount shift=0, all packs",
        })
    };
    let microseconds = |value: Option<&f64>| value.copied().unwrap_or(f64::NAN) / 1000.0;
    let measures = [
        figure("rules: reading and compiling all packs", loading.as_secs_f64() * 1000.0, "ms", Some(200.0)),
        figure("rules: judging one candidate, median of 12 kinds", microseconds(median), "µs", None),
        figure("rules: judging one candidate, the dearest of 12 kinds", microseconds(dearest), "µs", Some(20.0)),
    ];
    println!("measures {}", serde_json::to_string(&measures)?);
    Ok(())
}

/// Everything guardd does before an agent can be tagged, and the agent's own part.
fn load() -> anyhow::Result<Rules> {
    let rules = file::load(None).map_err(|error| anyhow::anyhow!("{error}"))?;
    let scope =
        Scope { home: "/home/u".into(), workspace: "/home/u/work".into(), tmp: "/tmp".into(), ..Scope::default() };
    anyhow::ensure!(!rules.policy(&scope).tables().paths.is_empty(), "the rules name no path");
    Ok(rules)
}

/// Nanoseconds for one judgement, with what guardd does around it: what must be found out, what is counted.
fn judging(policy: &Policy, operation: &Operation) -> f64 {
    let circumstances = Circumstances {
        environment: Found::Is(vec![
            (b"HOME".to_vec(), b"/home/u".to_vec()),
            (b"AWS_PROFILE".to_vec(), b"dev".to_vec()),
        ]),
        directory: Found::Is("/home/u/work".into()),
        lineage: Found::Is(Lineage { programs: Vec::new(), whole: true }),
        ..operation.circumstances.clone()
    };
    let operation = Operation { circumstances, ..operation.clone() };
    let mut stopped = 0;
    let once = |stopped: &mut u32| {
        let _ = std::hint::black_box(policy.needs(&operation));
        let _ = std::hint::black_box(policy.counters(&operation));
        *stopped += u32::from(!std::hint::black_box(judge(policy, &operation)).is_clear());
    };
    once(&mut stopped);
    let started = Instant::now();
    for _ in 0..TIMES {
        once(&mut stopped);
    }
    assert!(stopped == 0 || stopped == TIMES + 1, "one operation, one judgement");
    started.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES)
}
