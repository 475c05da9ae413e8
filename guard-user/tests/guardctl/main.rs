//! guardctl as it is used: the real binary against a real socket. Its exit codes, what it asks of guardd, and what it
//! prints into a pipe.
#![forbid(unsafe_code)]

mod fake;
mod fixture;

mod check;
mod decide;
mod export;
mod hook;
mod integrate;
mod output;
mod pages;
mod refused;
mod rules;
mod run;
mod terminal;
mod watch;
mod why;
