//! Places in the tree, fitted to one agent, and whether a path is in them.

use globset::GlobSetBuilder;

use super::{
    compile::Scope,
    pattern::{Pattern, Template, Wide},
};

/// Paths, in the forms that compare fast.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// Directories without a trailing slash, meaning themselves and all below.
    pub(crate) below: Vec<Vec<u8>>,
    pub(crate) exact: Vec<Vec<u8>>,
    /// With their indices in [`super::compile::Policy::globs`].
    pub(crate) globs: Vec<(Wide, Vec<usize>)>,
}

/// Collects the globs of a policy into one set.
pub(crate) struct Globs {
    pub(crate) builder: GlobSetBuilder,
    pub(crate) count: usize,
}

impl Globs {
    pub(crate) fn fit(&mut self, templates: &[Template], scope: &Scope, excludes: bool) -> Places {
        let mut places = Places::default();
        for pattern in templates.iter().filter_map(|template| template.pattern(scope, excludes)) {
            match pattern {
                Pattern::Below(directory) => places.below.push(directory),
                Pattern::Exact(path) => places.exact.push(path),
                Pattern::Glob(wide) => {
                    let first = self.count;
                    for glob in &wide.globs {
                        self.builder.add(glob.clone());
                        self.count += 1;
                    }
                    places.globs.push((wide, (first..self.count).collect()));
                }
            }
        }
        places
    }
}

impl Places {
    pub(crate) fn is_nothing(&self) -> bool {
        self.below.is_empty() && self.exact.is_empty() && self.globs.is_empty()
    }

    /// `globs` are the indices that match `path`, in order; asked for only when needed.
    pub(crate) fn cover<'a>(&self, path: &[u8], globs: impl Fn() -> &'a [usize]) -> bool {
        self.below.iter().any(|directory| is_below(path, directory))
            || self.exact.iter().any(|exact| exact == path)
            || self.globs.iter().any(|(_, indices)| indices.iter().any(|index| globs().binary_search(index).is_ok()))
    }
}

/// Is `path` this directory or below it?
pub(crate) fn is_below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}
