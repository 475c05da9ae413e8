//! STAND-IN.
use super::compile::{Policy, RuleInfo};
use crate::{
    api::{Action, Reversibility},
    operation::Operation,
};
use std::sync::Arc;
pub enum Judgement {
    Clear,
    WouldHold(Arc<RuleInfo>),
    Match(Arc<RuleInfo>),
}
pub fn judge(_policy: &Policy, operation: &Operation) -> Judgement {
    if operation.path.starts_with("/srv") {
        return Judgement::Match(Arc::new(RuleInfo {
            action: Action::Hold,
            name: "stand-in".into(),
            text: "stand-in".into(),
            reversibility: Reversibility::Irreversible,
        }));
    }
    Judgement::Clear
}
