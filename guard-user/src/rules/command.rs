//! The arguments of a command, sorted into words and options the way its program sorts them. No rule is looked at.

use std::{ffi::OsString, os::unix::ffi::OsStrExt as _};

use super::tool::Tool;

/// A word that is neither an option nor certainly an option's value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word<'a> {
    pub(crate) text: &'a [u8],
    /// Its place in the arguments; 0 where the program's own name gives it.
    pub(crate) index: usize,
    /// The option before it may have taken it.
    pub(crate) may_be_value: bool,
    /// The kernel may have cut it, and what follows is not known.
    pub(crate) may_be_cut: bool,
}

/// An option that is there, or may be.
#[derive(Clone, Debug)]
pub(crate) struct Found<'a> {
    pub(crate) name: Vec<u8>,
    /// `--name=value`, `-nvalue`, or the next argument where the option is known to take it.
    pub(crate) value: Option<&'a [u8]>,
    /// The next argument, where it may be the value.
    pub(crate) next: Option<&'a [u8]>,
    /// It is an option beyond doubt: no value of another, and not after the options' end.
    pub(crate) certain: bool,
    /// Options before the first word.
    pub(crate) leading: bool,
}

/// A command line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line<'a> {
    pub(crate) words: Vec<Word<'a>>,
    pub(crate) options: Vec<Found<'a>>,
    /// Index of the first argument after `--`.
    pub(crate) dashes: Option<usize>,
}

impl<'a> Line<'a> {
    /// Sorts `argv`. `dashed` is the subcommand that the program's own name gives, `whole` whether `argv` is all there
    /// is.
    pub(crate) fn new(argv: &'a [OsString], dashed: Option<&'a [u8]>, tool: &Tool, whole: bool) -> Self {
        let mut line = Self::default();
        let word = |text, index, may_be_value| {
            let may_be_cut = !whole && index + 1 == argv.len() && index > 0;
            Word { text, index, may_be_value, may_be_cut }
        };
        line.words.extend(dashed.map(|text| word(text, 0, false)));
        // After `--` there are only words; where `--` may itself be a value, what follows is read both ways.
        let (mut ended, mut may_have_ended) = (false, false);
        let (mut is_value, mut may_be_value) = (false, false);
        for (index, argument) in argv.iter().enumerate().skip(1) {
            let text = argument.as_bytes();
            let (was_value, might) = (std::mem::take(&mut is_value), std::mem::take(&mut may_be_value));
            if was_value {
                continue;
            }
            let is_option = text.len() >= 2 && text[0] == b'-';
            if ended || !is_option {
                line.words.push(word(text, index, might && !ended));
                ended |= tool.ordered && !might;
                continue;
            }
            if text == b"--" {
                line.dashes.get_or_insert(index + 1);
                ended |= !might;
                may_have_ended |= might;
                continue;
            }
            if may_have_ended {
                line.words.push(word(text, index, true));
            }
            let next = argv.get(index + 1).map(|next| next.as_bytes());
            let leading = line.words.is_empty();
            let options = split(text, tool, leading);
            if let Some(last) = options.last().filter(|option| option.value.is_none()) {
                is_value = tool.takes_value(&last.name, leading);
                may_be_value = !is_value && !tool.is_switch(&last.name, leading);
            }
            let count = options.len();
            let mut sure = !might && !may_have_ended;
            for (place, option) in options.into_iter().enumerate() {
                let is_last = place + 1 == count;
                let known = tool.is_switch(&option.name, leading);
                line.options.push(Found {
                    value: if is_last && is_value { next } else { option.value },
                    next: if is_last && option.value.is_none() && !known { next } else { None },
                    certain: sure,
                    leading,
                    name: option.name,
                });
                // What stands behind a letter that may take a value may be that value.
                sure &= known;
            }
        }
        line
    }

    /// An option is there that makes the program only talk about itself.
    pub(crate) fn is_inert(&self, tool: &Tool) -> bool {
        let inert = |option: &Found<'_>| tool.inert.iter().any(|name| name.as_bytes() == option.name);
        self.options.iter().any(|option| option.certain && inert(option) && (option.leading || !tool.ordered))
    }

    /// The options of these names.
    pub(crate) fn options_of<'b>(&'b self, names: &'b [String]) -> impl Iterator<Item = &'b Found<'a>> {
        self.options.iter().filter(move |option| names.iter().any(|name| name.as_bytes() == option.name))
    }

    pub(crate) fn has(&self, names: &[String]) -> bool {
        self.options_of(names).next().is_some()
    }
}

/// One option of an argument.
struct One<'a> {
    name: Vec<u8>,
    value: Option<&'a [u8]>,
}

/// The options one argument stands for. Bundles are taken apart: `-rf` is `-r` and `-f`.
fn split<'a>(text: &'a [u8], tool: &Tool, leading: bool) -> Vec<One<'a>> {
    let equals = text.iter().position(|byte| *byte == b'=');
    if text.starts_with(b"--") || tool.single_dash {
        let name = text[..equals.unwrap_or(text.len())].to_vec();
        return vec![One { name, value: equals.map(|at| &text[at + 1..]) }];
    }
    // A bundle may also be one letter with its value (`-C/dir`). Reading letters out of a value only adds options.
    let mut options = Vec::new();
    let mut taken = false;
    for (place, letter) in text.iter().enumerate().skip(1) {
        let name = vec![b'-', *letter];
        let rest = text.get(place + 1..).filter(|rest| !rest.is_empty());
        let value = rest.map(|rest| rest.strip_prefix(b"=").unwrap_or(rest));
        taken |= equals.is_some() || (rest.is_some() && tool.takes_value(&name, leading));
        options.push(One { name, value });
    }
    // The last letter has nothing behind it; where an earlier one took all that follows, it is no option with a value.
    if let Some(last) = options.last_mut().filter(|_| taken) {
        last.value = Some(b"");
    }
    options
}
