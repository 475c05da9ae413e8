//! Who may ask guardd for what. What is asked is not looked into further.
#![forbid(unsafe_code)]

use std::io;

use super::{
    cgroup::Cgroups,
    core::{Request, within},
    effect::Kernel,
    run::Daemon,
    server::Peer,
};

impl<K: Kernel> Daemon<K> {
    /// Number of the agent that a peer on the socket of agents belongs to.
    ///
    /// # Errors
    /// Why it is not heard.
    pub(super) fn agent_of(&self, peer: &Peer) -> Result<u64, String> {
        let unsure = |error: io::Error| format!("guardd cannot tell which agent the peer belongs to: {error}.");
        let cgroup = Cgroups::of(peer.pid).map_err(unsure)?;
        let tagged = self.edge.kernel.agent_of(peer.pid).map_err(unsure)?;
        let agent = self.core.agent_with(tagged.unwrap_or(0), &cgroup);
        // Only now is it known that all of this was about the peer and not about a successor of its pid.
        if !peer.lives() {
            return Err("The peer has ended, so guardd cannot tell which agent it belonged to.".to_owned());
        }
        agent.ok_or_else(|| "This socket is for agents, and the caller belongs to none.".to_owned())
    }

    /// Root and group `guard` may everything; anybody may tag itself; an agent may nothing.
    pub(super) fn permit(&self, peer: &Peer, request: &Request) -> Result<(), String> {
        let agent = "An agent may not speak to guardd. A person outside the agent has to do this.";
        let unsure = |error: io::Error| format!("guardd cannot tell whether the peer is an agent: {error}.");
        let cgroup = Cgroups::of(peer.pid).map_err(unsure)?;
        if self.core.agent_cgroups().any(|own| within(&cgroup, own)) {
            return Err(agent.to_owned());
        }
        for thread in std::fs::read_dir(format!("/proc/{}/task", peer.pid)).map_err(unsure)? {
            let name = thread.map_err(unsure)?.file_name();
            let tid = name
                .to_str()
                .and_then(|name| name.parse().ok())
                .ok_or_else(|| unsure(io::ErrorKind::InvalidData.into()))?;
            if self.edge.kernel.agent_of(tid).map_err(unsure)?.is_some() {
                return Err(agent.to_owned());
            }
        }
        // Only now is it known that all of this was about the peer and not about a successor of its pid.
        if !peer.lives() {
            return Err("The peer has ended, so guardd cannot tell whether it was an agent.".to_owned());
        }
        match request {
            Request::Tag(tag) if tag.target == (super::core::Target::Fresh { pid: peer.pid, itself: true }) => Ok(()),
            Request::Tag(_)
            | Request::Status
            | Request::Agents
            | Request::Holds { .. }
            | Request::Hold(_)
            | Request::Decide { .. }
            | Request::Untag(_)
            | Request::SetState { .. }
            | Request::Reload
            | Request::Checkpoint
            | Request::Footprints => {
                if peer.privileged {
                    Ok(())
                } else {
                    Err("Only root and members of the group guard may do this.".to_owned())
                }
            }
        }
    }
}
