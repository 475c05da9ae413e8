//! Says of the wire types that any bytes of the right size are one, so that aya may move them to and from maps.

use crate::{arguments, clear, config, footprint, grant, notice, op, record, table, task};

/// Implements aya's `Pod`.
macro_rules! pod {
    ($($name:ty),* $(,)?) => {$(
        // SAFETY: `repr(C)` or `repr(transparent)` over integers and arrays of integers, without padding: every
        // size is asserted beside the type.
        unsafe impl aya::Pod for $name {}
    )*};
}

pod!(
    arguments::Program,
    arguments::ArgumentKey,
    clear::ClearKey,
    record::HoldKey,
    record::HoldRecord,
    record::HoldText,
    grant::Grant,
    notice::Notice,
    op::OpSet,
    table::Agent,
    table::PathKey,
    table::PathValue,
    task::Task,
    task::State,
    table::NameKey,
    table::NameValue,
    table::PortKey,
    table::AddressKey,
    table::AdoptedKey,
    table::GuardsKey,
    table::DirKey,
    table::DirValue,
    footprint::ReachKey,
    footprint::ReachValue,
    config::Offsets,
);
