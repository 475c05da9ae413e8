//! Policies: what one kind of agent may do, as operators write it in `policies.yaml` beside the rules. Also the labels
//! that rules and policies share. A policy becomes rules here; judging knows nothing of it.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_saphyr::Spanned;

use super::{
    compile::{GUARD_PACK, Rules, yaml_options},
    error::{Mistake, RulesError, unknown},
    gap::{Allowance, Used},
    many::OneOrMany,
    network::Network,
    pattern::Template,
    syntax::{Mode, Port, RuleName},
    until::Until,
    who::{Label, Program},
};

/// Its name in a directory of rules.
pub const FILE: &str = "policies.yaml";

/// What labels stand for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Labels(pub(crate) BTreeMap<String, Labelled>);

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Labelled {
    pub(crate) paths: Vec<Template>,
    pub(crate) hosts: Vec<Network>,
}

/// A policy, and the rules it comes to.
#[derive(Clone, Debug)]
pub struct AgentPolicy {
    pub name: String,
    pub terms: Terms,
    pub labels: Vec<String>,
    pub mode: Mode,
    pub(crate) rules: Rules,
    pub(crate) allowed: Allowed,
}

/// What a policy limits an agent to; `None` where it does not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowed {
    pub(crate) reads: Option<Vec<Template>>,
    pub(crate) writes: Option<Vec<Template>>,
    pub(crate) runs: Option<Vec<Program>>,
    pub(crate) egress: Option<Vec<Destination>>,
}

/// What a policy says that is not a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Wins over what the agent was started with.
    pub workspace: Option<PathBuf>,
    pub until: Option<Until>,
}

/// The file, read and not yet put together with any rules.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    #[serde(default)]
    labels: BTreeMap<Label, Labelled>,
    #[serde(default)]
    policies: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<RuleName>,
    packs: Option<Spanned<OneOrMany<String>>>,
    workspace: Option<Directory>,
    #[serde(default)]
    mode: Mode,
    read_only: Option<OneOrMany<Template>>,
    reads: Option<OneOrMany<Template>>,
    writes: Option<OneOrMany<Template>>,
    runs: Option<OneOrMany<Program>>,
    egress: Option<Vec<Destination>>,
    #[serde(default)]
    labels: Vec<Spanned<String>>,
    until: Option<Until>,
}

/// Where an agent may connect to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Destination {
    address: OneOrMany<Network>,
    port: Option<OneOrMany<Port>>,
}

#[derive(Debug)]
struct Directory(PathBuf);

impl File {
    pub(crate) fn read(text: &str, origin: &str) -> Result<Self, RulesError> {
        serde_saphyr::from_str_with_options(text, yaml_options())
            .map_err(|error| Mistake::of_yaml(origin, text, &error).into())
    }

    pub(crate) fn labels(&self) -> Labels {
        Labels(self.labels.iter().map(|(label, labelled)| (label.0.clone(), labelled.clone())).collect())
    }

    /// The policies over these rules.
    pub(crate) fn policies(self, text: &str, origin: &str, rules: &Rules) -> Result<Vec<AgentPolicy>, RulesError> {
        let mut packs: Vec<&str> = rules.iter().map(|rule| rule.info.pack()).collect();
        packs.sort_unstable();
        packs.dedup();
        let known: Vec<&str> = self.labels.keys().map(|label| label.0.as_str()).collect();
        let mut policies: Vec<AgentPolicy> = Vec::new();
        for entry in self.policies {
            let wrong = |at: serde_saphyr::Location, message: String| {
                Mistake::new(origin, text, at.line(), at.column(), message)
            };
            let (at, name) = (entry.name.referenced, entry.name.value.0.clone());
            if policies.iter().any(|policy| policy.name == name) {
                return Err(wrong(at, format!("there is another policy `{name}`")).into());
            }
            if let Some(chosen) = &entry.packs
                && let Some(pack) = chosen.value.0.iter().find(|pack| !packs.contains(&pack.as_str()))
            {
                return Err(wrong(chosen.referenced, unknown("pack", pack, &packs)).into());
            }
            if let Some(label) = entry.labels.iter().find(|label| !known.contains(&label.value.as_str())) {
                return Err(wrong(label.referenced, unknown("label", &label.value, &known)).into());
            }
            let chosen = match &entry.packs {
                None => rules.clone(),
                Some(chosen) => {
                    rules.of_packs(|pack| pack == GUARD_PACK || chosen.value.0.iter().any(|chosen| chosen == pack))
                }
            };
            policies.push(AgentPolicy {
                rules: chosen.and(&entry.rules(), &format!("{origin}: policy {name}"))?,
                allowed: entry.allowed(),
                name,
                terms: Terms { workspace: entry.workspace.map(|directory| directory.0), until: entry.until },
                labels: entry.labels.into_iter().map(|label| label.value).collect(),
                mode: entry.mode,
            });
        }
        Ok(policies)
    }
}

impl Entry {
    /// The text of the rules this policy comes to. What was read before is written again, so it is right.
    fn rules(&self) -> String {
        let mut text = "rules:\n".to_owned();
        let mut rule = |name: &str, keys: &str, matches: &str| {
            text.push_str(&format!("  - {{name: {name}, {keys}, match: {{{matches}}}}}\n"));
        };
        if let Some(paths) = &self.read_only {
            let paths: Vec<String> = paths.0.iter().map(Template::text).collect();
            let keys = "text: \"This agent's policy lets it read here and change nothing.\", action: deny, reversibility: partial";
            let ops = "op: [write, delete, rename, link, chmod, chown, ioctl, mount, move_mount, umount]";
            rule("policy-read-only", keys, &format!("{ops}, path: {}", quoted(&paths)));
        }
        let limit = |what: &str| {
            format!("text: \"This agent's policy does not let it {what}.\", action: hold, reversibility: irreversible")
        };
        if let Some(paths) = &self.reads {
            let paths: Vec<String> = paths.0.iter().map(Template::text).collect();
            // Which things there are is not what is in them.
            let matches = "op: read, object: [file, symlink, block_device, char_device, fifo, socket], not_path:";
            rule("policy-reads", &limit("read here"), &format!("{matches} {}", quoted(&paths)));
        }
        if let Some(paths) = &self.writes {
            let paths: Vec<String> = paths.0.iter().map(Template::text).collect();
            let matches = "op: [write, delete, rename, link, chmod, chown], not_path:";
            rule("policy-writes", &limit("change anything here"), &format!("{matches} {}", quoted(&paths)));
        }
        if let Some(programs) = &self.runs {
            rule("policy-runs", &limit("run this"), "op: exec");
            if !programs.0.is_empty() {
                let programs: Vec<String> = programs.0.iter().map(Program::text).collect();
                let keys = "text: \"The policy names it.\", action: allow, except: policy-runs";
                rule("policy-runs-these", keys, &format!("op: exec, program: {}", quoted(&programs)));
            }
        }
        if let Some(egress) = &self.egress {
            let keys = "text: \"This agent's policy does not name this destination.\", action: hold, reversibility: irreversible";
            rule("policy-egress", keys, "op: connect, address: \"::/0\"");
            let keys = "text: \"The policy names it.\", action: allow, except: policy-egress";
            rule("policy-egress-this-host", keys, "op: connect, address: [127.0.0.0/8, \"::1\"]");
            for (index, destination) in egress.iter().enumerate() {
                let addresses: Vec<String> = destination.address.0.iter().map(ToString::to_string).collect();
                let ports = destination.port.as_ref().map_or_else(String::new, |ports| {
                    format!(", port: {:?}", ports.0.iter().map(|port| port.0).collect::<Vec<u16>>())
                });
                rule(
                    &format!("policy-egress-{}", index + 1),
                    keys,
                    &format!("op: connect, address: {}{ports}", quoted(&addresses)),
                );
            }
        }
        if text.ends_with("rules:\n") { "rules: []\n".to_owned() } else { text }
    }

    fn allowed(&self) -> Allowed {
        let list = |paths: &Option<OneOrMany<Template>>| paths.as_ref().map(|paths| paths.0.clone());
        Allowed {
            reads: list(&self.reads),
            writes: list(&self.writes),
            runs: self.runs.as_ref().map(|programs| programs.0.clone()),
            egress: self.egress.clone(),
        }
    }
}

impl Destination {
    /// How often it was used.
    pub(crate) fn allowance(&self, used: &[Used]) -> Allowance {
        let ports: Option<Vec<u16>> = self.port.as_ref().map(|ports| ports.0.iter().map(|port| port.0).collect());
        let is = |used: &&Used| {
            used.name.parse::<SocketAddr>().is_ok_and(|address| {
                self.address.0.iter().any(|network| network.contains(address.ip()))
                    && ports.as_ref().is_none_or(|ports| ports.contains(&address.port()))
            })
        };
        let times = used.iter().filter(is).map(|used| used.times).sum();
        let addresses: Vec<String> = self.address.0.iter().map(ToString::to_string).collect();
        let ports = ports.as_ref().map_or_else(String::new, |ports| {
            format!(" port {}", ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", "))
        });
        Allowance { pattern: format!("{}{ports}", addresses.join(", ")), times }
    }
}

/// The paths that may only be read: as the file says, and as the rules do that were made of it.
#[cfg(any(test, feature = "fuzzing"))]
mod read_only {
    use super::{AgentPolicy, File, Template};

    impl File {
        pub(crate) fn read_only(&self) -> Vec<Vec<String>> {
            let of = |paths: &super::OneOrMany<Template>| paths.0.iter().map(Template::text).collect();
            self.policies.iter().map(|entry| entry.read_only.as_ref().map_or_else(Vec::new, of)).collect()
        }
    }

    impl AgentPolicy {
        pub(crate) fn read_only(&self) -> Vec<String> {
            let rule = self.rules.iter().find(|rule| rule.info.name == "policy-read-only");
            let paths = rule.into_iter().flat_map(|rule| &rule.clauses).filter_map(|clause| clause.path.as_ref());
            paths.flatten().map(Template::text).collect()
        }
    }
}

/// The one rule of an agent whose time is over.
pub(crate) const EXPIRED: &str = "rules:
  - name: policy-expired
    text: The time this agent's policy gave it is over.
    action: hold
    reversibility: irreversible
    match:
      op: [delete, overwrite, create, link, chmod, chown, exec, connect, mount, move_mount, umount, pivot_root, ioctl, signal, ptrace, io_uring, read]
";

/// A list that YAML reads as these very texts.
fn quoted(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| super::quote(text)).collect::<Vec<_>>().join(", "))
}

impl<'de> Deserialize<'de> for Directory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let path = PathBuf::from(&text);
        let plain = !text.contains(['*', '?', '$', '~', '\0']) && !path.iter().any(|part| part == "..");
        if path.is_absolute() && plain && text.len() > 1 {
            return Ok(Self(path));
        }
        Err(D::Error::custom(format!("`{text}` is not one directory by its absolute path")))
    }
}

#[cfg(test)]
mod tests;
