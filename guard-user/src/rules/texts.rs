//! Globs over texts that are compiled when the first text comes: there are hundreds in the rules, and most are of programs that
//! nobody runs.

use std::{path::Path, sync::OnceLock};

use globset::{Glob, GlobSet, GlobSetBuilder};

/// Any of some globs.
#[derive(Clone, Debug)]
pub(crate) struct AnyGlob {
    globs: Vec<Glob>,
    /// `None` once they turned out too large.
    set: OnceLock<Option<GlobSet>>,
}

/// Bytes of globs that are never too large together; more are compiled at once, so that whoever wrote them hears of it.
const SMALL: usize = 4 << 10;

impl AnyGlob {
    /// # Errors
    /// A sentence, when they are too large together.
    pub(crate) fn new(globs: Vec<Glob>) -> Result<Self, String> {
        let any = Self { globs, set: OnceLock::new() };
        if any.globs.iter().map(|glob| glob.glob().len()).sum::<usize>() > SMALL {
            let set = any.build().map_err(|error| format!("these globs are too large: {}", error.kind()))?;
            return Ok(Self { set: OnceLock::from(Some(set)), ..any });
        }
        Ok(any)
    }

    /// Does one match any of these texts? `None` when nobody can say.
    pub(crate) fn is_match<'a>(&self, mut texts: impl Iterator<Item = &'a Path>) -> Option<bool> {
        let set = self.set.get_or_init(|| self.build().ok()).as_ref()?;
        Some(texts.any(|text| set.is_match(text)))
    }

    fn build(&self) -> Result<GlobSet, globset::Error> {
        let mut builder = GlobSetBuilder::new();
        for glob in &self.globs {
            builder.add(glob.clone());
        }
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(texts: &[&str]) -> Vec<Glob> {
        texts.iter().map(|text| Glob::new(text).expect("a glob")).collect()
    }

    #[test]
    fn globs_are_compiled_when_they_are_asked_for_and_say_the_same() {
        let any = AnyGlob::new(globs(&["a*", "b"])).expect("small");
        assert!(any.set.get().is_none());
        let says = |text: &str| any.is_match(std::iter::once(Path::new(text)));
        assert_eq!(["abc", "b", "c"].map(says), [Some(true), Some(true), Some(false)]);
    }

    #[test]
    fn globs_that_are_too_large_are_told_at_once_and_match_nothing_for_certain() {
        let large = format!("{{{}}}", vec!["a*b?c*"; 60_000].join(","));
        assert!(AnyGlob::new(globs(&[&large])).expect_err("too large").contains("too large"));
        let unknown = AnyGlob { globs: Vec::new(), set: OnceLock::from(None) };
        assert_eq!(unknown.is_match(std::iter::once(Path::new("x"))), None);
    }
}
