//! Any bytes as a file of `/proc` or of `/etc`: which cgroup, which mount, which process, which user. A path that comes
//! out never leaves the root of the cgroups.

use std::path::{Component, Path};

use crate::daemon::{
    cgroup::{self, Cgroups},
    circumstances,
    core::within,
    facts,
};

/// Reads `bytes` as each of these files, and as a path that somebody asks for.
pub fn cgroup(bytes: &[u8]) {
    if let Some(point) = cgroup::mount_point(bytes) {
        inside(&point, bytes);
    }
    inside(Path::new("/sys/fs/cgroup"), bytes);
    if let Some(path) = cgroup::of_text(bytes) {
        // An agent's processes are found by where they are, and a name must not put one where it is not.
        assert!(!path.contains('\n'), "{path:?} is more than a line");
        assert!(path.is_empty() || within(&path, &path), "{path:?} is not in itself");
        assert!(!within(&path, &format!("{path}x")), "{path:?} is in another of a longer name");
    }
    let plain = cgroup::unescape(bytes);
    assert!(plain.len() <= bytes.len());
    if !bytes.contains(&b'\\') {
        assert_eq!(plain, bytes);
    }
    process(bytes);
}

/// A path that is given names something below the root, or is refused.
fn inside(root: &Path, bytes: &[u8]) {
    let cgroups = Cgroups::at(root.to_owned());
    for given in String::from_utf8_lossy(bytes).split('\n') {
        let below = cgroups.below_root(given);
        assert!(below.starts_with('/') && (below.len() == 1 || !below.ends_with('/')), "{given:?}: {below:?}");
        for path in [given, &below] {
            let Ok(directory) = cgroups.directory(path) else { continue };
            let rest = directory.strip_prefix(root).expect("it is below the root");
            let plain = rest.components().all(|part| matches!(part, Component::Normal(_)));
            assert!(plain && rest != Path::new(""), "{path:?} is {}", directory.display());
        }
    }
}

/// `stat`, `status`, `syscall`, `environ` and `passwd`.
fn process(bytes: &[u8]) {
    if let Some(fields) = facts::after_name(bytes) {
        let text = String::from_utf8_lossy(bytes);
        assert!(fields.iter().all(|field| !field.is_empty() && text.contains(field.as_str())));
        assert!(fields.iter().all(|field| !field.contains(')')), "the name goes on in {fields:?}");
    }
    for key in ["Uid:", "Groups:", "Threads:"] {
        assert!(facts::status_numbers(bytes, key).len() <= bytes.len());
    }
    for (_, id, fields) in facts::entries(bytes) {
        assert_eq!(String::from_utf8_lossy(&fields[2]).trim_start_matches('+').parse().ok(), Some(id));
    }
    if let Ok(line) = std::str::from_utf8(bytes)
        && let Some(address) = circumstances::environment_address(line)
    {
        assert!(line.to_ascii_lowercase().contains(&format!("{address:x}")), "{line:?} has no {address:x}");
    }
    if let Some((name, value)) = circumstances::variable(bytes) {
        assert_eq!([&name[..], b"=", &value[..]].concat(), bytes);
        assert!(!name.contains(&b'='));
    }
}
