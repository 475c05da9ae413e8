//! The socket on which agents speak for themselves. Shared by the verbs that an agent runs.

use std::path::PathBuf;

use clap::Args;

use super::client::Client;
use crate::api;

// Where guardd listens to agents. (A doc comment would replace the verb's help.)
#[derive(Debug, Args)]
pub(crate) struct AgentSocket {
    /// Socket of guardd for agents; --socket is the one for people
    #[arg(
        long = "agent-socket", env = "GUARD_AGENT_SOCKET", value_name = "PATH", default_value = api::AGENT_SOCKET,
        hide_env_values = true
    )]
    path: PathBuf,
}

impl AgentSocket {
    pub(super) fn client(&self) -> Client {
        Client::new(self.path.clone())
    }
}
