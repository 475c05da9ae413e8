//! Routes about agents. What a tag names is looked up here, away from the loop.

use std::{path::PathBuf, sync::Arc};

use axum::{Extension, extract::State, response::Response};

use super::{Body, Id, Peer, Request, Shared, refusal};
use crate::{
    api::{ProblemKind, SetState, Tag},
    daemon::{
        cgroup::Cgroups,
        core::{TagRequest, Target},
        facts,
        rulebook::Places,
    },
};

pub(super) async fn list(State(shared): State<Shared>, Extension(peer): Extension<Arc<Peer>>) -> Response {
    shared.respond(peer, Request::Agents).await
}

pub(super) async fn tag(
    State(shared): State<Shared>,
    Extension(peer): Extension<Arc<Peer>>,
    Body(tag): Body<Tag>,
) -> Response {
    let (pid, uid, privileged) = (peer.pid, peer.uid, peer.privileged);
    let cgroups = Arc::clone(&shared.cgroups);
    // A path of the caller's may lie in a file system that never answers: only this request waits for it, and few may.
    let lookers = if privileged { &shared.lookers.privileged } else { &shared.lookers.others };
    let lookers = Arc::clone(lookers);
    let resolved = async move {
        let permit = lookers.acquire_owned().await.ok()?;
        let looking = tokio::task::spawn_blocking(move || {
            let _held_until_answered = permit;
            resolve(tag, &cgroups, pid, uid, privileged)
        });
        looking.await.ok()
    };
    let request = match tokio::time::timeout(super::PATIENCE, resolved).await {
        Ok(Some(Ok(request))) => request,
        Ok(Some(Err(message))) => return refusal(ProblemKind::BadRequest, message),
        Ok(None) | Err(_) => return refusal(ProblemKind::Internal, "The places could not be looked up in time."),
    };
    shared.respond(peer, Request::Tag(Box::new(request))).await
}

pub(super) async fn untag(State(shared): State<Shared>, Extension(peer): Extension<Arc<Peer>>, Id(id): Id) -> Response {
    shared.respond(peer, Request::Untag(id)).await
}

pub(super) async fn set_state(
    State(shared): State<Shared>,
    Extension(peer): Extension<Arc<Peer>>,
    Id(agent): Id,
    Body(state): Body<SetState>,
) -> Response {
    shared.respond(peer, Request::SetState { agent, command: state.state }).await
}

/// Checks a tag and finds what it names. Somebody without rights learns nothing about cgroups: the loop refuses
/// whatever is not a tag of itself.
fn resolve(tag: Tag, cgroups: &Cgroups, pid: u32, uid: u32, privileged: bool) -> Result<TagRequest, String> {
    let Tag { name, workspace, cgroup, pid: other, unit, rules, policy } = tag;
    if name.len() > 64 || name.chars().any(|c| !(c.is_ascii_alphanumeric() || "-_.".contains(c))) {
        return Err("A name is at most 64 letters, digits, dots, dashes and underscores.".to_owned());
    }
    let looks_like_id =
        name.strip_prefix('a').is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit()));
    if looks_like_id {
        return Err(format!("{name} looks like an agent's id; choose another name."));
    }
    let (target, owner) = match (cgroup, other, unit) {
        (None, None, None) => (Target::Fresh { pid, itself: true }, uid),
        (_, _, _) if !privileged => (Target::Adopt { cgroup: String::new() }, uid),
        (Some(cgroup), None, None) => {
            let cgroup = cgroups.below_root(&cgroup);
            cgroups.id(&cgroup).map_err(|error| format!("{cgroup}: {error}."))?;
            (Target::Adopt { cgroup }, uid)
        }
        (None, Some(other), None) => {
            let status = facts::bounded(&format!("/proc/{other}/status"), 8 << 10)
                .ok_or_else(|| format!("There is no process {other}."))?;
            let owner = facts::status_numbers(&status, "Uid:").first().copied().unwrap_or(uid);
            (Target::Fresh { pid: other, itself: false }, owner)
        }
        (None, None, Some(unit)) => {
            let cgroup = cgroups.unit(&unit).map_err(|error| format!("{error}."))?;
            (Target::Adopt { cgroup }, uid)
        }
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
            return Err("Give one of cgroup, pid and unit, or none of them.".to_owned());
        }
    };
    let workspace = if workspace.is_empty() {
        PathBuf::new()
    } else {
        let given = PathBuf::from(&workspace);
        if !given.is_absolute() {
            return Err("workspace must be an absolute path.".to_owned());
        }
        let found =
            given.canonicalize().map_err(|error| format!("The workspace {workspace} cannot be used: {error}."))?;
        if !found.is_dir() {
            return Err(format!("The workspace {workspace} is no directory."));
        }
        found
    };
    let home = facts::home(owner);
    let home = home.canonicalize().unwrap_or(home);
    Ok(TagRequest { name, places: Places { home, workspace, policy, ..Places::default() }, extra: rules, target })
}
