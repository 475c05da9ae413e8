//! What the kernel looks up of an exec's arguments. The kernel programs and the daemon's proof feed one and the same
//! [`Reader`]; what it asks for may be there too often, and never too seldom.

use core::mem::size_of;

/// Value of `PROGRAMS`, whose key is a [`crate::table::NameKey`]: a program that rules name together with what its
/// arguments must be. A program that is not there is judged whatever its arguments.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Number of its table of arguments.
    pub number: u64,
    /// What is given without any argument; see [`ArgumentKey`].
    pub given: u64,
}

/// Key of `ARGUMENTS`. The value, as [`Program::given`], says for which clauses of rules a word is given (the lower half
/// of the bits, one for each clause) and for which an option or argument (the upper half).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ArgumentKey {
    pub program: u64,
    /// See [`text`].
    pub text: u64,
}

/// Clauses that can be told apart.
pub const CLAUSES: u32 = 32;

/// Both are given for some clause.
#[must_use]
#[inline(always)]
pub const fn could_match(given: u64) -> bool {
    given as u32 & (given >> CLAUSES) as u32 != 0
}

/// What is looked up: the kind in the upper byte, a hash or a byte below.
pub mod text {
    /// The last component of argument 0.
    pub const NAME: u64 = 1 << 56;
    /// The first [`NAME_START_LEN`] bytes of a component of argument 0.
    pub const NAME_START: u64 = 7 << 56;
    /// A whole argument.
    pub const WHOLE: u64 = 2 << 56;
    /// The first byte of an argument.
    pub const FIRST: u64 = 3 << 56;
    /// The first [`START_LEN`] bytes of an argument that does not begin with a dash.
    pub const START: u64 = 4 << 56;
    /// A letter behind a single dash: `-rf` has two.
    pub const LETTER: u64 = 5 << 56;
    /// The first letter behind two dashes.
    pub const LONG: u64 = 6 << 56;
    /// Which of them it is.
    pub const KIND: u64 = 0xff << 56;

    /// Bytes of a [`START`].
    pub const START_LEN: usize = 4;
    /// Bytes of a [`NAME_START`].
    pub const NAME_START_LEN: usize = 8;

    /// Of a whole argument, a name or a start.
    #[must_use]
    pub const fn of(kind: u64, bytes: &[u8]) -> u64 {
        let (mut hash, mut at) = (super::BEGIN, 0);
        while at < bytes.len() {
            hash = super::hashed(hash, bytes[at]);
            at += 1;
        }
        kind | hash & !KIND
    }
}

/// FNV-1a: <https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>. Two texts of one hash are a candidate too many.
const BEGIN: u64 = 0xcbf2_9ce4_8422_2325;

#[inline(always)]
const fn hashed(hash: u64, byte: u8) -> u64 {
    (hash ^ byte as u64).wrapping_mul(0x0000_0100_0000_01b3)
}

/// Reads arguments, each with a NUL behind it, byte by byte.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader {
    hash: u64,
    /// Arguments that ended.
    pub arguments: u32,
    /// Bytes of the argument so far.
    at: u32,
    /// How it begins: 1 with one dash, 2 with two.
    dashes: u32,
    pad: u32,
}

impl Reader {
    #[must_use]
    #[inline(always)]
    pub const fn new() -> Self {
        Self { hash: BEGIN, arguments: 0, at: 0, dashes: 0, pad: 0 }
    }

    /// Takes the next byte. Answers the [`text`] that is complete with it; 0 when none is.
    #[inline(always)]
    pub const fn take(&mut self, byte: u8) -> u64 {
        let (at, is_name) = (self.at, self.arguments == 0);
        if byte == 0 {
            let found = if is_name { text::NAME } else { text::WHOLE } | self.hash & !text::KIND;
            *self = Self { arguments: self.arguments + 1, ..Self::new() };
            return found;
        }
        if is_name && byte == b'/' {
            *self = Self::new();
            return 0;
        }
        self.at = at + 1;
        self.hash = hashed(self.hash, byte);
        if is_name {
            let starts = self.at as usize == text::NAME_START_LEN;
            return if starts { text::NAME_START | self.hash & !text::KIND } else { 0 };
        }
        if at == 0 {
            self.dashes = (byte == b'-') as u32;
            return text::FIRST | byte as u64;
        }
        if at == 1 && self.dashes == 1 && byte == b'-' {
            self.dashes = 2;
            return 0;
        }
        match self.dashes {
            0 if self.at as usize == text::START_LEN => text::START | self.hash & !text::KIND,
            1 => text::LETTER | byte as u64,
            2 if at == 2 => text::LONG | byte as u64,
            _ => 0,
        }
    }
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

const _: () = {
    assert!(size_of::<Program>() == 16);
    assert!(size_of::<ArgumentKey>() == 16);
    assert!(size_of::<Reader>() == 24);
};

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::{Reader, could_match, text};

    fn read(argv: &[&str]) -> Vec<u64> {
        let mut reader = Reader::new();
        let bytes = argv.iter().flat_map(|argument| argument.bytes().chain([0]));
        let found = bytes.map(|byte| reader.take(byte)).filter(|found| *found != 0).collect();
        assert_eq!(reader.arguments as usize, argv.len());
        found
    }

    #[test]
    fn every_argument_gives_its_whole_its_beginning_and_its_options() {
        let first = |byte: u8| text::FIRST | u64::from(byte);
        let letter = |byte: u8| text::LETTER | u64::from(byte);
        let whole = |bytes: &[u8]| text::of(text::WHOLE, bytes);
        assert_eq!(read(&["/usr/bin/git"]), [text::of(text::NAME, b"git")]);
        let name = [text::of(text::NAME_START, b"git-uplo"), text::of(text::NAME, b"git-upload-pack")];
        assert_eq!(read(&["/lib/git-core/git-upload-pack"])[1..], name);
        assert_eq!(read(&["-rf"]), [text::of(text::NAME, b"-rf")]);
        assert_eq!(read(&["", ""]), [text::of(text::NAME, b""), whole(b"")]);
        let start = text::of(text::START, b"push");
        assert_eq!(read(&["x", "push"])[1..], [first(b'p'), start, whole(b"push")]);
        assert_eq!(read(&["x", "pushing"])[1..], [first(b'p'), start, whole(b"pushing")]);
        assert_eq!(read(&["x", "pus"])[1..], [first(b'p'), whole(b"pus")]);
        assert_eq!(read(&["x", "-rf"])[1..], [first(b'-'), letter(b'r'), letter(b'f'), whole(b"-rf")]);
        assert_eq!(read(&["x", "--force"])[1..], [first(b'-'), text::LONG | u64::from(b'f'), whole(b"--force")]);
        assert_eq!(read(&["x", "---f"])[1..], [first(b'-'), text::LONG | u64::from(b'-'), whole(b"---f")]);
        assert_eq!(read(&["x", "--", "-"])[1..], [first(b'-'), whole(b"--"), first(b'-'), whole(b"-")]);
    }

    #[test]
    fn a_word_and_an_option_of_two_clauses_are_no_match() {
        assert!(!could_match(0) && !could_match(0b11) && !could_match(0b11 << 32));
        assert!(!could_match(0b01 | 0b10 << 32));
        assert!(could_match(0b11 | 0b10 << 32));
    }
}
