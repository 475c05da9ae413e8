//! What guardd says about itself, as a monitoring system reads it: OpenMetrics text. Made of a status alone; asks nobody.
#![forbid(unsafe_code)]

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};

use crate::api::{CanaryState, Status, Tier};

/// What [`text`] is, in a `Content-Type`.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;
type Number = Gauge<u64, AtomicU64>;

/// One page of metrics.
///
/// # Errors
/// When the text cannot be written, which is when there is no memory.
pub fn text(status: &Status) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("guard");
    let tier = match status.tier {
        Tier::Gate => "gate",
        Tier::Trip => "trip",
    };
    let about = [("version", status.version.as_str()), ("kernel", &status.kernel), ("tier", tier)];
    let about: Labels = about.map(|(name, value)| (name, label(value))).into();
    registry.register("build", "What runs", Info::new(about));
    let mut number = |name: &str, help: &str, value: u64| {
        let gauge = Number::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    };
    let protecting = u64::from(status.protecting);
    number("protecting", "1 while every operation that rules name is stopped before its effect", protecting);
    number(
        "audit_writable",
        "1 while the audit log can be written; nothing is approved otherwise",
        status.audit_ok.into(),
    );
    number("agents", "Agents that are tagged", status.agents.into());
    number("holds_pending", "Operations that wait for a decision", status.pending.into());
    number("rules", "Rules in force", status.rules.into());
    number("features_missing", "Kernel features that guardd would use and does not have", {
        status.features.iter().filter(|feature| !feature.ok).count() as u64
    });
    let canary = Family::<Labels, Number>::default();
    for (name, state) in [
        ("off", CanaryState::Off),
        ("refused", CanaryState::Refused),
        ("passed", CanaryState::Passed),
        ("silent", CanaryState::Silent),
    ] {
        let is = u64::from(status.canary.state == state);
        canary.get_or_create(&vec![("state", name.to_owned())]).set(is);
    }
    registry.register(
        "canary",
        "1 for the state of the canary: anything but refused, or off in the trip tier, is bad",
        canary,
    );
    let counts = Family::<Labels, Counter<u64, AtomicU64>>::default();
    for count in &status.counts {
        counts.get_or_create(&vec![("name", label(&count.name))]).inc_by(count.value);
    }
    registry.register("events", "What guardctl status counts, by its name there", counts);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// A label's value as the format has it; the library writes what it is given.
fn label(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canary_and_the_counters_of_a_status_are_metrics() {
        let mut status = crate::daemon::testing::core().status_for_tests();
        status.canary.state = CanaryState::Passed;
        status.protecting = false;
        status.counts.push(crate::api::NamedCount { name: "holds_full".to_owned(), value: 7 });
        status.kernel = "6.1 \"odd\"\n".to_owned();
        let text = text(&status).expect("there is memory");
        for line in [
            "guard_canary{state=\"passed\"} 1",
            "guard_canary{state=\"refused\"} 0",
            "guard_events_total{name=\"holds_full\"} 7",
            "guard_protecting 0",
            "# TYPE guard_events counter",
        ] {
            assert!(text.lines().any(|own| own == line), "{line} is not in\n{text}");
        }
        assert!(text.contains(r#"kernel="6.1 \"odd\"\n""#), "labels are escaped:\n{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
