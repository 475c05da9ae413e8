//! Places that a policy protects, as paths to try. Nothing is judged here.

use std::{collections::BTreeSet, path::PathBuf};

use super::{compile::Policy, pattern::bytes_path, place::Places};

impl Policy {
    /// A path for each place that a rule protects: what an act on everything below a directory would reach.
    pub(crate) fn samples(&self) -> BTreeSet<PathBuf> {
        let of = |places: &Places| -> Vec<PathBuf> {
            let plain = places.below.iter().chain(&places.exact).map(|path| bytes_path(path).to_path_buf());
            let globs = places.globs.iter().flat_map(|(wide, _)| &wide.globs).filter_map(|glob| sample(glob.glob()));
            plain.chain(globs).filter(|path| path.is_absolute()).collect()
        };
        self.clauses
            .iter()
            .filter(|fitted| fitted.except.is_none())
            .filter_map(|fitted| fitted.path.as_ref())
            .flat_map(of)
            .collect()
    }
}

/// A path that the glob matches, where it is plain enough to make one.
fn sample(glob: &str) -> Option<PathBuf> {
    let is_plain = glob.starts_with('/') && !glob.contains(['[', '{', '\\']);
    is_plain.then(|| glob.replace("**", "x").replace(['*', '?'], "x").into())
}
