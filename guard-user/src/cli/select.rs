//! What was typed for an agent or a hold, and which one is meant. Nothing is changed here.

use super::{client::Client, error::Error};
use crate::{api::Agent, text::shown};

/// `h12`: the id of a hold, never of an agent.
pub(super) fn is_hold_id(typed: &str) -> bool {
    numbered(typed, 'h')
}

/// The id of the agent that was named by id, name or cgroup.
///
/// An id is taken as it is: the kill switch does not wait for a list.
pub(super) async fn agent_id(client: &Client, typed: &str) -> Result<String, Error> {
    if numbered(typed, 'a') {
        return Ok(typed.to_owned());
    }
    let wanted = below_root(typed);
    let agents = client.agents().await?;
    one(typed, agents.iter().filter(|agent| agent.name == typed || agent.cgroup == wanted))
}

/// The id of the only agent in `agents`.
pub(super) fn one<'a>(typed: &str, agents: impl Iterator<Item = &'a Agent>) -> Result<String, Error> {
    let agents: Vec<&Agent> = agents.collect();
    match agents.as_slice() {
        [agent] => Ok(agent.id.clone()),
        [] => Err(Error::NotFound(format!("there is no agent {}", shown(typed)))),
        several => {
            let ids: Vec<&str> = several.iter().map(|agent| agent.id.as_str()).collect();
            Err(Error::Usage(format!("{} is several agents: say which of {}", shown(typed), ids.join(", "))))
        }
    }
}

/// A cgroup as the API names it: from the root of the hierarchy, however it was typed.
pub(super) fn below_root(typed: &str) -> String {
    let below = ["/sys/fs/cgroup/unified/", "/sys/fs/cgroup/"]
        .iter()
        .find_map(|mount| typed.strip_prefix(mount))
        .unwrap_or(typed);
    format!("/{}", below.trim_matches('/'))
}

/// An id as one path segment. What was typed must not choose another route.
pub(super) fn segment(id: &str) -> Result<String, Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !id.is_empty() && id.bytes().all(plain) && id.bytes().any(|byte| byte != b'.') {
        Ok(id.to_owned())
    } else {
        Err(Error::NotFound(format!("there is nothing with the id {:?}", crate::text::shown(id))))
    }
}

fn numbered(typed: &str, letter: char) -> bool {
    typed
        .strip_prefix(letter)
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_letter_and_digits_are_an_id() {
        assert!(is_hold_id("h12"));
        for name in ["h", "12", "h12x", "hermes", "a12", "h-1"] {
            assert!(!is_hold_id(name), "{name}");
        }
    }

    #[test]
    fn a_cgroup_is_the_same_from_its_mount_or_its_root() {
        for typed in ["/sys/fs/cgroup/guard-agents/a1/", "/sys/fs/cgroup/unified/guard-agents/a1", "guard-agents/a1"] {
            assert_eq!(below_root(typed), "/guard-agents/a1");
        }
    }

    #[test]
    fn an_id_never_chooses_another_route() {
        for id in ["", ".", "..", "h1/decision", "h1?x", "h 1", "h1%2f", "\u{202e}h1", "*"] {
            assert!(matches!(segment(id), Err(Error::NotFound(_))), "{id:?}");
        }
        assert_eq!(segment("h12").expect("an ordinary id"), "h12");
    }
}
