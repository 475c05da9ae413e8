//! What was seen of an agent, said more generally: paths become directories of its home and its workspace, versions and
//! numbers become globs, many siblings the directory above them. What is said covers everything that was seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    path::Path,
};

use super::compile::Scope;

/// A pattern as rules are written, and how often what it covers was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    pub pattern: String,
    pub times: u64,
}

/// Where an agent connected to, as `egress` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnedHost {
    pub address: String,
    pub port: u16,
    pub times: u64,
}

/// Directories below one that are many.
const MANY: usize = 8;
/// Programs in one directory that are as good as all.
const MANY_PROGRAMS: usize = 64;
/// Hosts in a network of 256 that are as good as all.
const MANY_HOSTS: usize = 4;
/// Wildcards in a pattern: below the last of them is everything.
const WILDCARDS: usize = 4;
/// Bytes of a pattern.
const LONGEST: usize = 900;

/// Directories that hold what has nothing to do with each other: something was seen in them, not anywhere below.
const WIDE: [&str; 11] = ["", "/home", "/media", "/mnt", "/opt", "/root", "/run", "/srv", "/usr", "/var", "${HOME}"];

/// Components of a path; the first is empty, or a variable.
type Parts = Vec<String>;

/// What covers everything in these directories.
#[must_use]
pub fn directories<'a>(seen: impl Iterator<Item = (&'a str, u64)>, scope: &Scope) -> Vec<Learned> {
    let mut nodes: BTreeMap<Parts, u64> = BTreeMap::new();
    for (path, times) in seen {
        *nodes.entry(parts(path, scope)).or_default() += times;
    }
    let mut children: BTreeMap<Parts, BTreeSet<String>> = BTreeMap::new();
    for node in nodes.keys() {
        for length in 1..node.len() {
            children.entry(node[..length].to_vec()).or_default().insert(node[length].clone());
        }
    }
    let crowded = |node: &[String]| !is_wide(node) && children.get(node).is_some_and(|below| below.len() > MANY);
    // The highest one that covers it: with many below, or seen itself and not wide.
    let mut covered: BTreeMap<String, u64> = BTreeMap::new();
    for (node, times) in &nodes {
        let covers = |length: &usize| {
            let above = &node[..*length];
            crowded(above) || (nodes.contains_key(above) && !is_wide(above))
        };
        let pattern = match (1..=node.len()).find(covers) {
            Some(length) => all_below(&node[..length]),
            None => format!("{}/*", node.join("/")),
        };
        *covered.entry(pattern).or_default() += times;
    }
    covered.into_iter().map(|(pattern, times)| Learned { pattern, times }).collect()
}

/// What covers these programs.
#[must_use]
pub fn programs<'a>(seen: impl Iterator<Item = (&'a str, u64)>, scope: &Scope) -> Vec<Learned> {
    let mut nodes: BTreeMap<Parts, u64> = BTreeMap::new();
    for (path, times) in seen {
        *nodes.entry(parts(path, scope)).or_default() += times;
    }
    let mut siblings: BTreeMap<&[String], usize> = BTreeMap::new();
    for node in nodes.keys() {
        *siblings.entry(&node[..node.len() - 1]).or_default() += 1;
    }
    let mut covered: BTreeMap<String, u64> = BTreeMap::new();
    for (node, times) in &nodes {
        let above = &node[..node.len() - 1];
        let many = siblings.get(above).is_some_and(|number| *number > MANY_PROGRAMS);
        let is_cut = node.last().is_some_and(|last| last == "**");
        let pattern = if many && !is_cut { format!("{}/*", above.join("/")) } else { node.join("/") };
        *covered.entry(pattern).or_default() += times;
    }
    covered.into_iter().map(|(pattern, times)| Learned { pattern, times }).collect()
}

/// The Internet addresses among these, and networks of many.
#[must_use]
pub fn hosts<'a>(seen: impl Iterator<Item = (&'a str, u64)>) -> Vec<LearnedHost> {
    let mut hosts: BTreeMap<(IpAddr, u16), u64> = BTreeMap::new();
    for (to, times) in seen {
        // This host is always allowed, and a Unix socket is no host.
        if let Ok(address) = to.parse::<SocketAddr>()
            && !address.ip().is_loopback()
        {
            *hosts.entry((address.ip().to_canonical(), address.port())).or_default() += times;
        }
    }
    let network = |ip: &IpAddr| match ip {
        IpAddr::V4(v4) => Some([v4.octets()[0], v4.octets()[1], v4.octets()[2]]),
        IpAddr::V6(_) => None,
    };
    let mut learned: BTreeMap<(String, u16), u64> = BTreeMap::new();
    for ((ip, port), times) in &hosts {
        let near = |other: &&(IpAddr, u16)| other.1 == *port && network(&other.0) == network(ip);
        let address = match network(ip) {
            Some([a, b, c]) if hosts.keys().filter(near).count() >= MANY_HOSTS => format!("{a}.{b}.{c}.0/24"),
            Some(_) | None => ip.to_string(),
        };
        *learned.entry((address, *port)).or_default() += times;
    }
    learned.into_iter().map(|((address, port), times)| LearnedHost { address, port, times }).collect()
}

/// A directory that was cut says so itself.
fn all_below(node: &[String]) -> String {
    let node = node.join("/");
    if node.ends_with("/**") { node } else { format!("{node}/**") }
}

fn is_wide(node: &[String]) -> bool {
    WIDE.contains(&node.join("/").as_str())
}

/// The components of an absolute path, each said generally, with a variable for what is below a directory of the agent's.
fn parts(path: &str, scope: &Scope) -> Parts {
    let below = |directory: &Path, variable: &str| {
        let directory = crate::text::lossy(directory.as_os_str().as_encoded_bytes());
        let directory = directory.trim_end_matches('/');
        let rest = path.strip_prefix(directory).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
        (!directory.is_empty()).then(|| (variable.to_owned(), rest.to_owned()))
    };
    let (first, rest) = below(&scope.workspace, "${WORKSPACE}")
        .or_else(|| below(&scope.home, "${HOME}"))
        .unwrap_or_else(|| (String::new(), path.to_owned()));
    let mut parts = vec![first];
    let (mut wildcards, mut length) = (0, parts[0].len());
    for part in rest.split('/').filter(|part| !part.is_empty()) {
        let part = general(part);
        wildcards += part.matches('*').count();
        length += part.len() + 1;
        if wildcards > WILDCARDS || length > LONGEST {
            parts.push("**".to_owned());
            break;
        }
        parts.push(part);
    }
    parts
}

/// A name with a glob in the place of what is another one the next time, or of what a glob cannot say.
fn general(name: &str) -> String {
    let is_plain = |character: char| crate::text::is_plain(character) && !"*?[]{}\\$".contains(character);
    if !name.chars().all(is_plain) || matches!(name, "." | "..") {
        return "*".to_owned();
    }
    let is_hex = name.len() >= 8 && name.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if is_hex && name.bytes().any(|byte| byte.is_ascii_digit()) || name.bytes().all(|byte| byte.is_ascii_digit()) {
        return "*".to_owned();
    }
    if let Some(random) = name.strip_prefix("tmp.").filter(|random| random.len() >= 6) {
        return if random.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            "tmp.*".to_owned()
        } else {
            name.to_owned()
        };
    }
    without_version(name)
}

/// `python3.11` is `python*`, `lib-1.2.3.so` is `lib-*.so`.
fn without_version(name: &str) -> String {
    let bytes = name.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = 0;
    while at < bytes.len() {
        let first = digits(at);
        let mut end = at + first;
        let mut numbers = usize::from(first > 0);
        while first > 0 && bytes.get(end) == Some(&b'.') && digits(end + 1) > 0 {
            end += 1 + digits(end + 1);
            numbers += 1;
        }
        if numbers > 1 {
            return format!("{}*{}", &name[..at], &name[end..]);
        }
        at += first.max(1);
        while !name.is_char_boundary(at) {
            at += 1;
        }
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::{
        pattern::{Pattern, Template, bytes_path},
        place::is_below,
        tests::scope,
    };

    fn matcher(learned: &Learned) -> Box<dyn Fn(&str) -> bool> {
        let template = Template::parse(&learned.pattern).unwrap_or_else(|error| panic!("{error}"));
        match template.pattern(&scope(), true).expect("its directories are known") {
            Pattern::Below(directory) => Box::new(move |path| is_below(path.as_bytes(), &directory)),
            Pattern::Exact(exact) => Box::new(move |path| exact == path.as_bytes()),
            Pattern::Glob(wide) => {
                let globs: Vec<_> = wide.globs.iter().map(globset::Glob::compile_matcher).collect();
                Box::new(move |path| globs.iter().any(|glob| glob.is_match(bytes_path(path.as_bytes()))))
            }
        }
    }

    fn learned(seen: &[&str]) -> Vec<(String, u64)> {
        let learned = directories(seen.iter().map(|path| (*path, 1)), &scope());
        learned.into_iter().map(|learned| (learned.pattern, learned.times)).collect()
    }

    #[test]
    fn directories_are_said_as_a_person_would() {
        let check = |seen: &[&str], expected: &[(&str, u64)]| {
            let expected: Vec<_> = expected.iter().map(|(pattern, times)| ((*pattern).to_owned(), *times)).collect();
            assert_eq!(learned(seen), expected);
        };
        check(&["/home/u/work/src", "/home/u/work"], &[("${WORKSPACE}/**", 2)]);
        check(&["/home/u", "/home/u/.cache/pip"], &[("${HOME}/*", 1), ("${HOME}/.cache/pip/**", 1)]);
        check(&["/usr/lib/python3.11/json", "/usr/lib/python3.12"], &[("/usr/lib/python*/**", 2)]);
        check(&["/", "/srv", "/etc"], &[("/*", 1), ("/etc/**", 1), ("/srv/*", 1)]);
        check(&["/var/lib/0f3a9b2c77", "/var/lib/123/x"], &[("/var/lib/*/**", 2)]);
        let many: Vec<String> = "abcdefghij".chars().map(|name| format!("/opt/tool/{name}")).collect();
        check(&many.iter().map(String::as_str).collect::<Vec<_>>(), &[("/opt/tool/**", 10)]);
    }

    #[test]
    fn programs_and_hosts_are_said_one_by_one_while_they_are_few() {
        let seen = [("/usr/bin/git", 3), ("/usr/bin/python3.11", 1), ("/home/u/work/tool", 1)];
        let found: Vec<String> =
            programs(seen.into_iter(), &scope()).into_iter().map(|learned| learned.pattern).collect();
        assert_eq!(found, ["${WORKSPACE}/tool", "/usr/bin/git", "/usr/bin/python*"]);
        let many: Vec<String> = (0..65).map(|number| format!("/usr/bin/p{number}x")).collect();
        assert_eq!(programs(many.iter().map(|name| (name.as_str(), 1)), &scope()).len(), 1);
        let seen = ["192.0.2.1:443", "192.0.2.2:443", "192.0.2.3:443", "192.0.2.4:443", "192.0.2.4:22", "127.0.0.1:1"];
        let found: Vec<_> = hosts(seen.into_iter().chain(["unix:/x", "[::ffff:198.51.100.7]:1"]).map(|to| (to, 1)))
            .into_iter()
            .map(|host| (host.address, host.port, host.times))
            .collect();
        let expected = [("192.0.2.0/24", 443, 4), ("192.0.2.4", 22, 1), ("198.51.100.7", 1, 1)];
        assert_eq!(found, expected.map(|(address, port, times)| (address.to_owned(), port, times)));
    }

    fn path() -> impl Strategy<Value = String> {
        let name = prop_oneof![
            prop::sample::select(vec!["usr", "home", "u", "work", "lib", "a", "b", "etc", "proc", "*", "1.2.3"])
                .prop_map(str::to_owned),
            "[a-c0-9.*?\\[{\\\\$ \u{e9}\u{202e}-]{1,12}",
        ];
        let plain = |name: &String| name != "." && name != "..";
        prop::collection::vec(name.prop_filter("no name of a file", plain), 0..8)
            .prop_map(|names| format!("/{}", names.join("/")))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_was_seen_is_covered_by_what_is_said(seen in prop::collection::vec(path(), 1..15)) {
            let said = directories(seen.iter().map(|path| (path.as_str(), 1)), &scope());
            let all: u64 = said.iter().map(|learned| learned.times).sum();
            prop_assert_eq!(all, seen.len() as u64);
            let matchers: Vec<_> = said.iter().map(matcher).collect();
            for path in &seen {
                let file = format!("{}/file", path.trim_end_matches('/'));
                prop_assert!(matchers.iter().any(|covers| covers(&file)), "{} by {:?}", file, said);
            }
            let said = programs(seen.iter().filter(|path| *path != "/").map(|path| (path.as_str(), 1)), &scope());
            let matchers: Vec<_> = said.iter().map(matcher).collect();
            for path in seen.iter().filter(|path| *path != "/") {
                prop_assert!(matchers.iter().any(|covers| covers(path)), "{} by {:?}", path, said);
            }
        }
    }
}
