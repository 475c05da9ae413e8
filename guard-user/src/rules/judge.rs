//! STAND-IN.
use super::compile::Policy;
use crate::{api::{Action, Reversibility}, operation::Operation};
pub enum Judgement {
    Clear,
    Match { action: Action, rule: String, text: String, reversibility: Reversibility },
}
pub fn judge(_policy: &Policy, operation: &Operation) -> Judgement {
    if operation.path.starts_with("/srv") {
        return Judgement::Match { action: Action::Hold, rule: "stand-in".into(), text: "stand-in".into(), reversibility: Reversibility::Irreversible };
    }
    Judgement::Clear
}
