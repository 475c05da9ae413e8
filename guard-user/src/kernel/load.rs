//! STAND-IN for compiling the daemon alone; the real module replaces it.
use crate::{
    api,
    daemon::effect::{Kernel, Notices},
    rules::lower::Tables,
};
use guard_common::{count::Count, grant::Grant, notice::Notice, record::*, table};
use std::io;
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
pub struct None_;
impl Kernel for None_ {
    fn grant(&mut self, _: HoldKey, _: Grant) -> io::Result<()> { Ok(()) }
    fn remove_hold(&mut self, _: HoldKey, _: u64) -> io::Result<()> { Ok(()) }
    fn record(&self, _: HoldKey) -> io::Result<Option<Box<HoldRecord>>> { Ok(None) }
    fn records(&self) -> io::Result<Vec<HoldKey>> { Ok(vec![]) }
    fn set_agent(&mut self, _: u64, _: table::Agent) -> io::Result<()> { Ok(()) }
    fn remove_agent(&mut self, _: u64) -> io::Result<()> { Ok(()) }
    fn set_policy(&mut self, _: u32, _: &Tables) -> io::Result<()> { Ok(()) }
    fn remove_policy(&mut self, _: u32) {}
    fn tag_task(&mut self, _: u32, _: u64) -> io::Result<()> { Ok(()) }
    fn agent_of(&self, _: u32) -> io::Result<Option<u64>> { Ok(None) }
    fn counts(&self) -> io::Result<Vec<(Count, u64)>> { Ok(vec![]) }
}
impl Notices for None_ {
    async fn next(&mut self) -> io::Result<Vec<Notice>> { std::future::pending().await }
}
pub fn load(_: &Options) -> anyhow::Result<Loaded<None_, None_>> {
    if std::env::var_os("GUARD_STAND_IN").is_none() {
        anyhow::bail!("stand-in");
    }
    Ok(Loaded { kernel: None_, notices: None_, tier: api::Tier::Trip, reason: "stand-in".into(), features: vec![], summary: "stand-in".into() })
}
