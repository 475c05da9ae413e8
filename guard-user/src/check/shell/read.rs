//! Words of shell text: quotes, expansions, wildcards. Commands are `parse`'s.

use std::sync::Arc;

use super::{
    parse::Parser,
    syntax::{Change, Piece, Word},
};
use crate::check::term::{ONE, STAR};

/// Ends a word where it is not quoted.
pub(super) const META: [char; 10] = [' ', '\t', '\n', ';', '&', '|', '<', '>', '(', ')'];

/// How far ahead is looked to see what a bracket means: every letter of a text may be one.
const NEAR: usize = 2000;

impl Parser {
    /// A word that begins here.
    pub(super) fn word(&mut self) -> Result<Word, String> {
        let mut word = Word::new();
        if self.peek() == Some('~') {
            let name: String = self
                .rest()
                .skip(1)
                .take_while(|letter| letter.is_ascii_alphanumeric() || "-_".contains(*letter))
                .collect();
            let after = self.look(1 + name.chars().count());
            if after.is_none_or(|letter| letter == '/' || META.contains(&letter)) {
                self.at += 1 + name.chars().count();
                word.push(Piece::Tilde(name));
            }
        }
        while let Some(letter) = self.peek() {
            match letter {
                '<' | '>' if self.look(1) == Some('(') && word.is_empty() => {
                    self.at += 2;
                    word.push(Piece::Process(Arc::new(self.until_closed()?)));
                }
                _ if META.contains(&letter) => break,
                '*' => {
                    self.at += 1;
                    word.push(Piece::Wild(STAR));
                }
                '?' => {
                    self.at += 1;
                    word.push(Piece::Wild(ONE));
                }
                '[' => self.bracket(&mut word),
                _ => self.piece(letter, &mut word)?,
            }
        }
        Ok(word)
    }

    /// `[a-z]` stands for one letter.
    fn bracket(&mut self, word: &mut Word) {
        let inside: String =
            self.rest().skip(1).take(NEAR).take_while(|letter| *letter != ']' && !META.contains(letter)).collect();
        let length = inside.chars().count();
        if length > 0 && self.look(1 + length) == Some(']') && !inside.contains(['$', '"', '\'', '`']) {
            self.at += length + 2;
            word.push(Piece::Wild(ONE));
        } else {
            self.at += 1;
            push(word, '[', false);
        }
    }

    fn piece(&mut self, letter: char, word: &mut Word) -> Result<(), String> {
        self.at += 1;
        match letter {
            '\\' => match self.next() {
                Some('\n') => {}
                Some(next) => push(word, next, true),
                None => push(word, '\\', true),
            },
            '\'' => {
                let text = self.text_until('\'')?;
                word.push(Piece::Text { text, quoted: true });
            }
            '"' => {
                // An empty text is an argument, too.
                word.push(Piece::Text { text: String::new(), quoted: true });
                self.quoted(word, Some('"'))?;
            }
            '$' | '`' => self.expansion(letter, word, false)?,
            _ => push(word, letter, false),
        }
        Ok(())
    }

    /// Text in which only `$`, `` ` `` and `\` mean something, until `end` or the end.
    pub(super) fn quoted(&mut self, word: &mut Word, end: Option<char>) -> Result<(), String> {
        loop {
            match self.next() {
                None if end.is_none() => return Ok(()),
                None => return Err("a quote is not closed".to_owned()),
                letter if letter == end => return Ok(()),
                Some('\\') => match self.next() {
                    Some('\n') => {}
                    Some(next) if "$`\"\\".contains(next) => push(word, next, true),
                    Some(next) => {
                        push(word, '\\', true);
                        push(word, next, true);
                    }
                    None => push(word, '\\', true),
                },
                Some(letter @ ('$' | '`')) => self.expansion(letter, word, true)?,
                Some(letter) => push(word, letter, true),
            }
        }
    }

    /// What `$` or `` ` ``, already read, begins.
    fn expansion(&mut self, letter: char, word: &mut Word, quoted: bool) -> Result<(), String> {
        if letter == '`' {
            let mut text = String::new();
            loop {
                match self.next() {
                    None => return Err("a backquote is not closed".to_owned()),
                    Some('`') => break,
                    Some('\\') => match self.next() {
                        Some(next) if "$`\\".contains(next) || (quoted && next == '"') => text.push(next),
                        Some(next) => text.extend(['\\', next]),
                        None => {}
                    },
                    Some(other) => text.push(other),
                }
            }
            let body = Arc::new(self.inner(&text)?);
            word.push(Piece::Command { body, quoted });
            return Ok(());
        }
        match self.peek() {
            Some('(') if self.look(1) == Some('(') && self.is_arithmetic() => {
                self.at += 2;
                self.arithmetic()?;
                word.push(Piece::Number);
            }
            Some('(') => {
                self.at += 1;
                let body = Arc::new(self.until_closed()?);
                word.push(Piece::Command { body, quoted });
            }
            Some('{') => {
                self.at += 1;
                let piece = self.parameter(quoted)?;
                word.push(piece);
            }
            Some('\'') if !quoted => {
                self.at += 1;
                let text = self.ansi()?;
                word.push(Piece::Text { text, quoted: true });
            }
            Some('"') if !quoted => {}
            Some(first) if first.is_ascii_alphabetic() || first == '_' => {
                let name: String =
                    self.rest().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
                self.at += name.len();
                word.push(Piece::Variable { name, change: None, quoted });
            }
            Some(first) if first.is_ascii_digit() || "@*#?$!-".contains(first) => {
                self.at += 1;
                word.push(Piece::Variable { name: first.to_string(), change: None, quoted });
            }
            Some(_) | None => push(word, '$', quoted),
        }
        Ok(())
    }

    /// After `${`.
    fn parameter(&mut self, quoted: bool) -> Result<Piece, String> {
        if self.peek() == Some('#') && self.look(1) != Some('}') {
            self.text_until('}')?;
            return Ok(Piece::Variable { name: String::new(), change: Some(Change::Length), quoted });
        }
        let name: String = self.rest().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
        self.at += name.len();
        let name = if name.is_empty() { self.next().map(String::from).unwrap_or_default() } else { name };
        if self.peek() == Some('}') {
            self.at += 1;
            return Ok(Piece::Variable { name, change: None, quoted });
        }
        let colon = self.peek() == Some(':');
        let letter = self.look(usize::from(colon));
        let kind = letter.filter(|letter| "-=+?".contains(*letter));
        if let Some(kind) = kind {
            self.at += 1 + usize::from(colon);
            let word = self.until_brace()?;
            let change = match kind {
                '+' => Change::Alternative(word),
                '?' => Change::Required,
                _ => Change::Default(word),
            };
            return Ok(Piece::Variable { name, change: Some(change), quoted });
        }
        if let Some(sign) = letter.filter(|letter| !colon && "#%".contains(*letter)) {
            let longest = self.look(1) == Some(sign);
            self.at += 1 + usize::from(longest);
            let pattern = self.until_brace()?;
            let change = Change::Trim { front: sign == '#', longest, pattern };
            return Ok(Piece::Variable { name, change: Some(change), quoted });
        }
        self.until_brace()?;
        Ok(Piece::Variable { name, change: Some(Change::Other), quoted })
    }

    /// A word that a brace closes.
    fn until_brace(&mut self) -> Result<Word, String> {
        let mut word = Word::new();
        self.deeper()?;
        loop {
            match self.peek() {
                None => return Err("`${` is not closed".to_owned()),
                Some('}') => {
                    self.at += 1;
                    self.depth -= 1;
                    return Ok(word);
                }
                Some(letter) => self.piece(letter, &mut word)?,
            }
        }
    }

    /// `$'…'`.
    fn ansi(&mut self) -> Result<String, String> {
        let mut text = String::new();
        loop {
            match self.next().ok_or("a quote is not closed")? {
                '\'' => return Ok(text),
                '\\' => {
                    let letter = self.next().ok_or("a quote is not closed")?;
                    let (most, radix) = match letter {
                        'x' => (2, 16),
                        'u' => (4, 16),
                        'U' => (8, 16),
                        '0'..='7' => {
                            self.at -= 1;
                            (3, 8)
                        }
                        _ => {
                            text.push(match letter {
                                'n' => '\n',
                                't' => '\t',
                                'r' => '\r',
                                'e' | 'E' => '\u{1b}',
                                other => other,
                            });
                            continue;
                        }
                    };
                    let digits: String = self.rest().take(most).take_while(|digit| digit.is_digit(radix)).collect();
                    self.at += digits.len();
                    text.extend(u32::from_str_radix(&digits, radix).ok().and_then(char::from_u32));
                }
                other => text.push(other),
            }
        }
    }

    fn text_until(&mut self, end: char) -> Result<String, String> {
        let text: String = self.rest().take_while(|letter| *letter != end).collect();
        self.at += text.chars().count();
        if self.next().is_none() {
            return Err(format!("`{end}` is missing"));
        }
        Ok(text)
    }

    /// `((` is arithmetic where `))` closes it; else two subshells.
    pub(super) fn is_arithmetic(&self) -> bool {
        let mut depth = 0_i32;
        let mut before = ' ';
        for (place, letter) in self.rest().enumerate().take(NEAR) {
            match letter {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            if depth == 0 && place > 0 {
                return before == ')';
            }
            before = letter;
        }
        false
    }

    /// After `((`: skipped until it closes. A substitution in it is refused: it would run.
    pub(super) fn arithmetic(&mut self) -> Result<(), String> {
        let mut depth = 2;
        while depth > 0 {
            match self.next().ok_or("`((` is not closed")? {
                '(' => depth += 1,
                ')' => depth -= 1,
                '`' => return Err("a command in arithmetic".to_owned()),
                '$' if self.peek() == Some('(') => return Err("a command in arithmetic".to_owned()),
                _ => {}
            }
        }
        Ok(())
    }
}

fn push(word: &mut Word, letter: char, is_quoted: bool) {
    if let Some(Piece::Text { text, quoted }) = word.last_mut()
        && *quoted == is_quoted
    {
        text.push(letter);
        return;
    }
    word.push(Piece::Text { text: letter.to_string(), quoted: is_quoted });
}
