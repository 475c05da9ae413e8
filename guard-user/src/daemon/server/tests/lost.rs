//! Notices that never come: nothing is lost with them.

use super::*;

#[test]
fn a_hold_whose_notice_was_lost_is_found() {
    with_daemon(async |bench| {
        let agent = bench.tag().await;
        let pid = std::process::id();
        {
            let mut maps = bench.kernel.maps();
            maps.records.insert(HoldKey { id: pid, slot: 0 }, record(agent, pid, "/hold/a"));
            maps.notices_lost = 1;
        }
        bench.until("/v1/holds", |holds| holds[0]["id"] == "h1").await;
    });
}

#[test]
fn a_hold_is_found_within_two_seconds_though_no_notice_ever_comes() {
    with_daemon(async |bench| {
        let agent = bench.tag().await;
        let pid = std::process::id();
        let key = HoldKey { id: pid, slot: 0 };
        let quick = Duration::from_secs(2);
        bench.kernel.maps().records.insert(key, record(agent, pid, "/hold/a"));
        let found = bench.until("/v1/holds", |holds| holds[0]["id"] == "h1");
        tokio::time::timeout(quick, found).await.expect("an unknown key is looked at");
        let (status, _) = bench.send("POST", "/v1/holds/h1/decision", r#"{"verdict":"approve","scope":"once"}"#).await;
        assert_eq!(status, 200);
        // The grant is used and the task is stopped again, and nobody says so.
        let mut again = record(agent, pid, "/hold/b");
        again.hold = 2_000;
        bench.kernel.maps().records.insert(key, again);
        let found = bench.until("/v1/holds", |holds| holds[0]["operation"]["path"] == "/hold/b");
        tokio::time::timeout(quick, found).await.expect("a key on its way is looked at");
    });
}

#[test]
fn an_approval_whose_notice_was_lost_is_not_called_expired() {
    with_daemon(async |bench| {
        let agent = bench.tag().await;
        let mut child = sleeper();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("it lives");
        let ticks: u64 = stat.split(' ').nth(21).and_then(|ticks| ticks.parse().ok()).expect("field 22");
        let key = HoldKey { id: child.id(), slot: 0 };
        let held = |hold: u64, path: &str| {
            let mut record = record(agent, child.id(), path);
            (record.hold, record.start_boottime) = (hold, ticks * 10_000_000);
            bench.kernel.maps().records.insert(key, record);
        };
        held(1_000, "/hold/a");
        bench.until("/v1/holds", |holds| holds[0]["id"] == "h1").await;
        let (status, _) = bench.send("POST", "/v1/holds/h1/decision", r#"{"verdict":"approve","scope":"once"}"#).await;
        assert_eq!(status, 200);
        // The kernel lets it go on, the ring is full, and the next operation is stopped.
        bench.kernel.maps().grants.clear();
        bench.kernel.maps().notices_lost += 1;
        held(2_000, "/hold/b");
        let hold = bench.until("/v1/holds/h1", |hold| hold["state"] == "done").await;
        assert_eq!(hold["outcome"], "released");
        assert!(bench.until("/v1/log", |log| log.to_string().contains("was used")).await.is_array());
        child.kill().expect("killed");
        child.wait().expect("waited");
    });
}

#[test]
fn a_record_nobody_understands_is_said_once_and_stays() {
    with_daemon(async |bench| {
        let agent = bench.tag().await;
        let key = HoldKey { id: 1, slot: 0 };
        let mut strange = record(agent, 1, "/hold/a");
        strange.op = 63;
        bench.kernel.maps().records.insert(key, strange);
        bench.until("/v1/log", |log| log.to_string().contains("stays stopped")).await;
        // A second hold is found by a later scan, which saw the first again.
        bench.kernel.maps().records.insert(HoldKey { id: 2, slot: 0 }, record(agent, 2, "/hold/b"));
        bench.until("/v1/holds?state=all", |holds| holds[0]["id"] == "h1").await;
        assert_eq!(bench.audit().matches("stays stopped").count(), 1);
        assert!(bench.kernel.maps().records.contains_key(&key) && bench.kernel.maps().grants.is_empty());
    });
}

#[test]
fn a_refused_call_whose_process_took_its_record_along_is_in_the_log() {
    with_daemon(async |bench| {
        bench.ring(HoldKey { id: 4242, slot: 1 }, notice::HELD);
        let log = bench.until("/v1/log", |log| log.to_string().contains("4242")).await;
        assert!(log.to_string().contains("was refused"), "{log}");
    });
}
