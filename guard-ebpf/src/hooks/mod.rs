//! One subject each; a program is a thin attribute function with the kernel prototype above it.

pub(crate) mod call;
pub(crate) mod descriptor;
pub(crate) mod exec;
pub(crate) mod file;
pub(crate) mod make;
pub(crate) mod mount;
pub(crate) mod net;
pub(crate) mod result;
pub(crate) mod returned;
pub(crate) mod shield;
pub(crate) mod task;
pub(crate) mod trip;
