//! STAND-IN.
use super::{file::RulesError, lower::Tables};
use std::path::PathBuf;
pub struct Rules;
pub struct Scope {
    pub home: PathBuf,
    pub workspace: PathBuf,
    pub tmp: PathBuf,
}
pub struct Policy;
impl Rules {
    pub fn with(&self, _text: &str, _origin: &str) -> Result<Rules, RulesError> {
        Ok(Rules)
    }
    pub fn policy(&self, _scope: &Scope) -> Policy {
        Policy
    }
    pub fn len(&self) -> usize {
        1
    }
}
impl Policy {
    pub fn tables(&self) -> Tables {
        Tables::default()
    }
}
pub struct RuleInfo {
    pub name: String,
    pub text: String,
    pub action: crate::api::Action,
    pub reversibility: crate::api::Reversibility,
}
