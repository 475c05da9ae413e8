//! guardd and guardctl as a library; the binaries parse arguments and call it.

pub mod agents;
pub mod api;
pub mod audit;
pub mod check;
pub mod circumstances;
pub mod cli;
pub mod daemon;
pub mod execution;
pub mod footprint;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod holds;
pub mod hook;
pub mod incident;
pub mod kernel;
pub mod mask;
pub mod metrics;
pub mod operation;
pub mod otlp;
pub mod result;
pub mod rules;
pub mod tally;
pub mod text;
pub mod timeline;
pub mod tool_calls;
pub mod touched;
