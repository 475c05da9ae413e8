//! The shape of shell text. Nothing is read or expanded here.

use std::sync::Arc;

/// A command of any kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Simple(Simple),
    /// Commands joined by `|`.
    Pipe(Vec<Node>),
    /// One after the other: `;`, `&&`, `||`, `&`, the parts of `if` and of `while`, the arms of `case`.
    Sequence(Vec<Node>),
    /// `( … )`: what it changes ends with it.
    Subshell(Box<Node>),
    For {
        name: String,
        words: Option<Vec<Word>>,
        body: Box<Node>,
    },
    Function {
        name: String,
        body: Arc<Node>,
    },
    Redirected(Box<Node>, Vec<Redirect>),
    /// `[[ … ]]`, `(( … ))`, the word of `case`: only what is substituted in them runs.
    Words(Vec<Word>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Simple {
    pub(crate) assignments: Vec<(String, Word)>,
    pub(crate) words: Vec<Word>,
    pub(crate) redirects: Vec<Redirect>,
}

pub(crate) type Word = Vec<Piece>;

/// A part of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text {
        text: String,
        quoted: bool,
    },
    /// `*` or `?` or a bracket, as [`crate::check::term`] writes them.
    Wild(char),
    /// `~` or `~name`.
    Tilde(String),
    Variable {
        name: String,
        change: Option<Change>,
        quoted: bool,
    },
    Command {
        body: Arc<Node>,
        quoted: bool,
    },
    /// `<( … )` and `>( … )`.
    Process(Arc<Node>),
    /// `$(( … ))`: a number.
    Number,
}

/// What `${NAME…}` makes of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// `:-`, `-`, `:=`, `=`.
    Default(Word),
    /// `:+`, `+`.
    Alternative(Word),
    /// `:?`, `?`.
    Required,
    /// `#`, `##`, `%`, `%%`: without what the pattern matches at the front or at the end.
    Trim { front: bool, longest: bool, pattern: Word },
    /// `#NAME`.
    Length,
    /// Anything else: parts, patterns, indirection.
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Redirect {
    Read(Word),
    Overwrite(Word),
    Append(Word),
    /// A here-document or here-string.
    Text(Word),
    /// A here-document whose text has not been read yet, by its number.
    Pending(usize),
    /// `2>&1`.
    Duplicate,
}
