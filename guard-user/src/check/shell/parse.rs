//! Commands of shell text: POSIX and what bash adds that people type. What is not understood is an error, never
//! skipped. Every depth and length is bounded.

use super::{
    read::META,
    redirect::Document,
    syntax::{Node, Piece, Simple, Word},
};

const LONGEST: usize = 128 * 1024;
const DEEPEST: usize = 60;

pub(super) struct Parser {
    pub(super) letters: Vec<char>,
    pub(super) at: usize,
    pub(super) depth: usize,
    /// Here-documents by their number: end word, whether tabs are stripped, whether it is quoted, then the text.
    pub(super) documents: Vec<Document>,
}

/// Words that mean something at the start of a command.
const ENDS: [&str; 9] = ["then", "else", "elif", "fi", "do", "done", "esac", "}", "in"];

/// Reads shell text.
pub(super) fn parse(text: &str) -> Result<Node, String> {
    let mut parser = Parser::new(text, 0)?;
    let node = parser.list(&[])?;
    parser.blank();
    if let Some(letter) = parser.peek() {
        return Err(format!("`{letter}` stands where no command can end"));
    }
    Ok(parser.finish(node))
}

impl Parser {
    pub(super) fn new(text: &str, depth: usize) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err("it is too long".to_owned());
        }
        Ok(Self { letters: text.chars().collect(), at: 0, depth, documents: Vec::new() })
    }

    /// Text within this text: between backquotes.
    pub(super) fn inner(&mut self, text: &str) -> Result<Node, String> {
        let mut parser = Self::new(text, self.depth + 1)?;
        parser.deeper()?;
        let node = parser.list(&[])?;
        if parser.peek().is_some() {
            return Err("the text between backquotes is no command".to_owned());
        }
        Ok(parser.finish(node))
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.look(0)
    }

    pub(super) fn look(&self, ahead: usize) -> Option<char> {
        self.letters.get(self.at + ahead).copied()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let letter = self.peek();
        self.at += usize::from(letter.is_some());
        letter
    }

    pub(super) fn rest(&self) -> impl Iterator<Item = char> + '_ {
        self.letters[self.at.min(self.letters.len())..].iter().copied()
    }

    pub(super) fn deeper(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEEPEST { Err("it is nested too deeply".to_owned()) } else { Ok(()) }
    }

    pub(super) fn starts(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(place, letter)| self.look(place) == Some(letter))
    }

    /// Skips blanks, continued lines and comments, but no newline.
    pub(super) fn blank(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t') => self.at += 1,
                Some('\\') if self.look(1) == Some('\n') => self.at += 2,
                Some('#') => self.at += self.rest().take_while(|letter| *letter != '\n').count(),
                _ => return,
            }
        }
    }

    pub(super) fn space(&mut self) -> Result<(), String> {
        loop {
            self.blank();
            if self.peek() != Some('\n') {
                return Ok(());
            }
            self.newline()?;
        }
    }

    /// A plain word that is next, without taking it.
    pub(super) fn keyword(&mut self) -> String {
        self.blank();
        self.rest().take_while(|letter| !META.contains(letter)).take(64).collect()
    }

    /// Commands until one of `ends` stands where a command would, or a `)`.
    pub(super) fn list(&mut self, ends: &[&str]) -> Result<Node, String> {
        self.deeper()?;
        let mut nodes = Vec::new();
        loop {
            self.space()?;
            if self.peek().is_none() || self.peek() == Some(')') || self.starts(";;") {
                break;
            }
            let word = self.keyword();
            if ends.contains(&word.as_str()) {
                break;
            }
            if ENDS.contains(&word.as_str()) {
                return Err(format!("`{word}` stands where a command should"));
            }
            nodes.push(self.pipeline()?);
            self.blank();
            match self.peek() {
                Some(';') if self.look(1) != Some(';') => self.at += 1,
                Some('&') => self.at += if self.look(1) == Some('&') { 2 } else { 1 },
                Some('|') if self.look(1) == Some('|') => self.at += 2,
                Some('\n') => self.newline()?,
                _ => {}
            }
        }
        self.depth -= 1;
        Ok(Node::Sequence(nodes))
    }

    pub(super) fn expect(&mut self, word: &str) -> Result<(), String> {
        self.space()?;
        if self.keyword() != word {
            return Err(format!("`{word}` is missing"));
        }
        self.at += word.len();
        Ok(())
    }

    /// After `(`: commands and the `)`.
    pub(super) fn until_closed(&mut self) -> Result<Node, String> {
        let node = self.list(&[])?;
        self.space()?;
        if self.next() != Some(')') {
            return Err("`)` is missing".to_owned());
        }
        Ok(node)
    }

    fn pipeline(&mut self) -> Result<Node, String> {
        self.blank();
        loop {
            let word = self.keyword();
            // `time` before a group is the shell's own.
            let after = self.rest().skip(4).find(|letter| *letter != ' ');
            let is_timed = word == "time" && matches!(after, Some('(' | '{'));
            if word != "!" && !is_timed {
                break;
            }
            self.at += word.len();
            self.blank();
        }
        let mut nodes = vec![self.command()?];
        loop {
            self.blank();
            if self.peek() != Some('|') || self.look(1) == Some('|') {
                break;
            }
            self.at += if self.look(1) == Some('&') { 2 } else { 1 };
            self.space()?;
            nodes.push(self.command()?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Pipe(nodes) })
    }

    pub(super) fn command(&mut self) -> Result<Node, String> {
        let node = match self.keyword().as_str() {
            "{" => {
                self.at += 1;
                let node = self.list(&["}"])?;
                self.expect("}")?;
                node
            }
            "if" => {
                self.at += 2;
                let mut parts = vec![self.list(&["then"])?];
                loop {
                    self.expect("then")?;
                    parts.push(self.list(&["elif", "else", "fi"])?);
                    if self.keyword() != "elif" {
                        break;
                    }
                    self.at += 4;
                    parts.push(self.list(&["then"])?);
                }
                if self.keyword() == "else" {
                    self.at += 4;
                    parts.push(self.list(&["fi"])?);
                }
                self.expect("fi")?;
                Node::Sequence(parts)
            }
            "while" | "until" => {
                self.at += 5;
                let condition = self.list(&["do"])?;
                let body = self.body()?;
                Node::Sequence(vec![condition, body])
            }
            "for" | "select" => self.for_loop()?,
            "case" => self.case()?,
            "function" => {
                self.at += 8;
                self.blank();
                let name: String = self.keyword();
                self.at += name.chars().count();
                self.blank();
                if self.starts("()") {
                    self.at += 2;
                }
                self.space()?;
                self.function_body(name)?
            }
            "[[" => self.test()?,
            _ if self.starts("((") && self.is_arithmetic() => {
                self.at += 2;
                self.arithmetic()?;
                Node::Words(Vec::new())
            }
            _ if self.peek() == Some('(') => {
                self.at += 1;
                Node::Subshell(Box::new(self.until_closed()?))
            }
            _ => return self.simple(),
        };
        let mut redirects = Vec::new();
        while let Some(redirect) = self.redirect()? {
            redirects.push(redirect);
        }
        Ok(if redirects.is_empty() { node } else { Node::Redirected(Box::new(node), redirects) })
    }

    /// A word that is not empty: an empty one would never end a loop.
    pub(super) fn some_word(&mut self) -> Result<Word, String> {
        let before = self.at;
        let word = self.word()?;
        if self.at == before {
            return Err(format!("{} stands where a word should", self.found()));
        }
        Ok(word)
    }

    /// What is next, in words.
    fn found(&self) -> String {
        self.peek().map_or("the end".to_owned(), |letter| format!("`{letter}`"))
    }

    fn simple(&mut self) -> Result<Node, String> {
        let mut simple = Simple::default();
        loop {
            self.blank();
            if let Some(redirect) = self.redirect()? {
                simple.redirects.push(redirect);
                continue;
            }
            match self.peek() {
                None | Some('\n' | ';' | '&' | '|' | ')') => break,
                Some('(') => return self.function(simple),
                Some(_) => {}
            }
            if simple.words.is_empty()
                && let Some(name) = self.assigned()
            {
                let value = if self.peek() == Some('(') { self.array()? } else { self.word()? };
                simple.assignments.push((name, value));
                continue;
            }
            simple.words.push(self.some_word()?);
        }
        if simple == Simple::default() {
            return Err(format!("{} stands where a command should", self.found()));
        }
        Ok(Node::Simple(simple))
    }

    /// `NAME=` or `NAME+=` that is next; taken when it is.
    fn assigned(&mut self) -> Option<String> {
        let name: String = self.rest().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
        let starts_well = name.chars().next().is_some_and(|letter| !letter.is_ascii_digit());
        // An element of an array: which one does not matter.
        let index: String = self.rest().skip(name.len()).take(64).take_while(|letter| *letter != ']').collect();
        let has_index = index.starts_with('[') && !index.contains(['$', '`', ' ', '"', '\'']);
        let skip = if has_index { index.chars().count() + 1 } else { 0 };
        let plus = usize::from(self.look(name.len() + skip) == Some('+'));
        if !starts_well || self.look(name.len() + skip + plus) != Some('=') {
            return None;
        }
        self.at += name.len() + skip + plus + 1;
        Some(name)
    }

    /// `( … )` of an array: its words, with blanks between.
    fn array(&mut self) -> Result<Word, String> {
        self.at += 1;
        let mut all = Word::new();
        loop {
            self.space()?;
            match self.peek() {
                None => return Err("`)` is missing".to_owned()),
                Some(')') => {
                    self.at += 1;
                    return Ok(all);
                }
                Some(_) => {}
            }
            if !all.is_empty() {
                all.push(Piece::Text { text: " ".to_owned(), quoted: false });
            }
            all.extend(self.some_word()?);
        }
    }
}
