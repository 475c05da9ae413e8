//! STAND-IN.
use guard_common::{op::OpSet, table::NameValue};
use std::net::Ipv6Addr;
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tables {
    pub ops: OpSet,
    pub always: OpSet,
    pub block: OpSet,
    pub paths: Vec<(Vec<u8>, OpSet)>,
    pub names: Vec<(Vec<u8>, NameValue)>,
    pub ports: Vec<(u16, u16)>,
    pub addresses: Vec<(Ipv6Addr, u8)>,
}
