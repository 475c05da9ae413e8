//! `guardctl rules schema`: the JSON Schema of rules files, for editors.

use clap::Args;

use super::super::{
    error::{Error, Exit},
    render::{Screen, machine},
};
use crate::rules::schema::schema;

/// Write the JSON Schema of rules files, for completion in an editor
///
/// Name it in the first line of a rules file: `# yaml-language-server: $schema=./guard-rules.schema.json`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  guardctl rules schema > guard-rules.schema.json")]
pub(crate) struct Arguments {}

pub(super) fn run(_: &Arguments, screen: &Screen) -> Result<Exit, Error> {
    let schema = schema();
    let text = machine::json(&schema)?;
    screen.answer(&schema, |_| text)?;
    Ok(Exit::Success)
}
