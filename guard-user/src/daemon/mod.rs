//! The daemon: one loop around a pure core.
