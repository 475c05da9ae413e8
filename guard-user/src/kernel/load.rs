//! STAND-IN for compiling the daemon alone; the real module replaces it.
use crate::{
    api,
    daemon::effect::{Kernel, Notices},
};
pub struct Options {
    pub tier: Option<api::Tier>,
    pub max_holds: u32,
    pub pin: std::path::PathBuf,
}
pub struct Loaded<K: Kernel, N: Notices> {
    pub kernel: K,
    pub notices: N,
    pub tier: api::Tier,
    pub reason: String,
    pub features: Vec<api::Feature>,
    pub summary: String,
}
