//! What must be among the arguments of a program for a clause to match, as far as the kernel can see it: a text is there,
//! or none is. `guard_common::arguments` reads them; here is what it is to look up. Errs towards asking.

use std::collections::{BTreeMap, BTreeSet};

use guard_common::arguments::{CLAUSES, Reader, could_match, text};

use super::tool::Tool;

/// One of these [`text`]s; `None` where it may be anything.
pub(crate) type Trigger = Option<BTreeSet<u64>>;

/// What one clause asks of the arguments: all that is given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Condition {
    pub(crate) word: Trigger,
    /// An option or an argument.
    pub(crate) option: Trigger,
}

/// What the kernel looks up for one program.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arguments {
    /// See [`guard_common::arguments::Program::given`].
    pub given: u64,
    /// Values of `ARGUMENTS` by text.
    pub texts: BTreeMap<u64, u64>,
}

impl Condition {
    /// The arguments say nothing the kernel can see.
    pub(crate) const ANY: Self = Self { word: None, option: None };
}

impl Arguments {
    /// Of a program. `None` where a clause may match whatever the arguments.
    pub(crate) fn new(conditions: &BTreeSet<Condition>) -> Option<Self> {
        let mut arguments = Self::default();
        for (index, condition) in conditions.iter().enumerate() {
            // The last stands for all that find no place.
            let clause = 1_u64 << index.min(CLAUSES as usize - 1);
            arguments.ask(clause, condition.word.as_ref());
            arguments.ask(clause << CLAUSES, condition.option.as_ref());
        }
        (!could_match(arguments.given)).then_some(arguments)
    }

    fn ask(&mut self, bit: u64, trigger: Option<&BTreeSet<u64>>) {
        match trigger {
            None => self.given |= bit,
            Some(texts) => texts.iter().for_each(|text| *self.texts.entry(*text).or_default() |= bit),
        }
    }

    /// What the kernel answers of these arguments.
    pub(crate) fn could_match<'a>(&self, argv: impl IntoIterator<Item = &'a [u8]>) -> bool {
        let (mut reader, mut given) = (Reader::new(), self.given);
        for byte in argv.into_iter().flat_map(|argument| argument.iter().copied().chain([0])) {
            given |= self.texts.get(&reader.take(byte)).unwrap_or(&0);
        }
        reader.arguments == 0 || could_match(given)
    }
}

/// An argument that this glob matches.
pub(crate) fn argument(glob: &str) -> Trigger {
    alternatives(glob)?.iter().map(|glob| Some(start(glob)?.text())).collect()
}

/// A word of the command, which this glob matches; of a program that is also called by its name and that word, the name.
pub(crate) fn word(glob: &str, dashed: Option<&str>) -> Trigger {
    let Some(program) = dashed else {
        return argument(glob);
    };
    let texts = alternatives(glob)?.into_iter().map(|glob| {
        let start = start(&glob)?;
        let name = |word: &[u8]| [program.as_bytes(), b"-", word].concat();
        let called = match &start {
            Start::Whole(word) => text::of(text::NAME, &name(word)),
            Start::With(word) => text::of(text::NAME_START, name(word).get(..text::NAME_START_LEN)?),
        };
        Some([start.text(), called])
    });
    texts.collect::<Option<Vec<_>>>().map(|texts| texts.into_iter().flatten().collect())
}

/// An option of this name as `tool` reads it, whole or shortened.
pub(crate) fn option(name: &str, tool: &Tool) -> Trigger {
    let bare = name.trim_start_matches('-');
    let first = u64::from(*bare.as_bytes().first()?);
    Some(match name.starts_with("--") {
        // Any number of dashes is as good as one.
        _ if tool.single_dash => {
            BTreeSet::from([text::LETTER | first, text::LONG | first, text::LONG | u64::from(b'-')])
        }
        true if !name.starts_with("---") => BTreeSet::from([text::LONG | first]),
        true => return None,
        false => BTreeSet::from([text::LETTER | first]),
    })
}

/// One or the other.
pub(crate) fn either(triggers: impl IntoIterator<Item = Trigger>) -> Trigger {
    triggers.into_iter().try_fold(BTreeSet::new(), |mut all, one| {
        all.extend(one?);
        Some(all)
    })
}

/// How what a glob matches begins.
enum Start {
    /// It is just this.
    Whole(Vec<u8>),
    /// With this, which is not empty.
    With(Vec<u8>),
}

impl Start {
    fn text(&self) -> u64 {
        match self {
            Self::Whole(bytes) => text::of(text::WHOLE, bytes),
            Self::With(bytes) if bytes.len() >= text::START_LEN && bytes[0] != b'-' => {
                text::of(text::START, &bytes[..text::START_LEN])
            }
            Self::With(bytes) => text::FIRST | u64::from(bytes[0]),
        }
    }
}

/// `None` where it may begin with anything, or be nothing.
fn start(glob: &str) -> Option<Start> {
    let mut bytes = Vec::new();
    let mut rest = glob.as_bytes();
    loop {
        rest = match rest {
            [] => return (!bytes.is_empty()).then_some(Start::Whole(bytes)),
            // One character in brackets is that character.
            [b'[', one, b']', after @ ..] if one.is_ascii() && !b"!^]".contains(one) => {
                bytes.push(*one);
                after
            }
            [b'*' | b'?' | b'[' | b']' | b'{' | b'}' | b'\\' | b',', ..] => {
                return (!bytes.is_empty()).then_some(Start::With(bytes));
            }
            [plain, after @ ..] => {
                bytes.push(*plain);
                after
            }
        };
    }
}

/// `{a,b}` as what it stands for; anything deeper is not taken apart.
fn alternatives(glob: &str) -> Option<Vec<String>> {
    let Some((before, rest)) = glob.split_once('{') else {
        return Some(vec![glob.to_owned()]);
    };
    if before.contains(['[', '\\']) {
        return None;
    }
    let (inside, after) = rest.split_once('}')?;
    if inside.contains(['{', '[', '\\']) || after.contains(['{', '}']) {
        return None;
    }
    Some(inside.split(',').map(|one| format!("{before}{one}{after}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(word: &str) -> u64 {
        text::of(text::WHOLE, word.as_bytes())
    }

    fn first(byte: u8) -> u64 {
        text::FIRST | u64::from(byte)
    }

    #[test]
    fn a_glob_is_known_by_how_it_begins() {
        let of = |glob: &str| argument(glob).map(|texts| texts.into_iter().collect::<Vec<_>>());
        assert_eq!(of("push"), Some(vec![whole("push")]));
        assert_eq!(of("+?*"), Some(vec![first(b'+')]));
        assert_eq!(of("./[*]"), Some(vec![whole("./*")]));
        assert_eq!(of("a[bc]"), Some(vec![first(b'a')]));
        assert_eq!(of("core.hook[sS]*"), Some(vec![text::of(text::START, b"core")]));
        assert_eq!(of("--config=*"), Some(vec![first(b'-')]));
        assert_eq!(of("{drop,drop}"), Some(vec![whole("drop")]));
        assert_eq!(of("x{a,*}"), Some(BTreeSet::from([whole("xa"), first(b'x')]).into_iter().collect()));
        for anything in ["*", "?x", "[ab]c", "[!a]", "{a,*b}", "{a,{b,c}}", "", "{,a}", "[{]a,b}", "a\\{b,c}"] {
            assert!(of(anything).is_none(), "{anything}");
        }
    }

    #[test]
    fn more_clauses_than_bits_share_the_last() {
        let condition = |word: usize| Condition {
            word: Some(BTreeSet::from([whole(&format!("word{word}"))])),
            option: argument(&format!("option{word}")),
        };
        let arguments = Arguments::new(&(0..100).map(condition).collect()).expect("not any");
        for word in 0..100 {
            let (word, option) = (format!("word{word}"), format!("option{word}"));
            assert!(arguments.could_match([b"x".as_slice(), option.as_bytes(), word.as_bytes()]));
            assert!(!arguments.could_match([b"x".as_slice(), word.as_bytes()]));
        }
    }

    #[test]
    fn a_name_may_be_the_word() {
        let push = Condition { word: word("{push,send-pack}", Some("git")), option: None };
        let arguments = Arguments::new(&BTreeSet::from([push])).expect("not any");
        for harmless in [&["/usr/bin/git", "pull"][..], &["git-upload-pack", "x"], &["git-push-to", "/push"]] {
            assert!(!arguments.could_match(harmless.iter().map(|text| text.as_bytes())), "{harmless:?}");
        }
        for harmful in [&["/usr/bin/git-push"][..], &["git", "-q", "send-pack"], &["/git/push", "push"], &[]] {
            assert!(arguments.could_match(harmful.iter().map(|text| text.as_bytes())), "{harmful:?}");
        }
        assert_eq!(word("pu*", Some("git")), None);
        let credential = Condition { word: word("credential-*", Some("git")), option: None };
        let arguments = Arguments::new(&BTreeSet::from([credential])).expect("not any");
        for harmful in [&["/lib/git-credential-store"][..], &["git", "credential-cache"]] {
            assert!(arguments.could_match(harmful.iter().map(|text| text.as_bytes())), "{harmful:?}");
        }
        assert!(!arguments.could_match([b"git-cre".as_slice(), b"cre"]));
    }
}
