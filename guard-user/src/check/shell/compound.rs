//! Compound commands of shell text: loops, `case`, `[[`, functions.

use std::sync::Arc;

use super::{
    parse::Parser,
    syntax::{Node, Piece, Simple},
};

impl Parser {
    /// `[[ … ]]`.
    pub(super) fn test(&mut self) -> Result<Node, String> {
        self.at += 2;
        let mut words = Vec::new();
        loop {
            self.space()?;
            match self.peek() {
                None => return Err("`]]` is missing".to_owned()),
                Some('(' | ')' | '<' | '>' | '&' | '|') => self.at += 1,
                Some(_) if self.starts("]]") => break,
                Some(_) => words.push(self.some_word()?),
            }
        }
        self.at += 2;
        Ok(Node::Words(words))
    }

    pub(super) fn body(&mut self) -> Result<Node, String> {
        self.expect("do")?;
        let body = self.list(&["done"])?;
        self.expect("done")?;
        Ok(body)
    }

    pub(super) fn for_loop(&mut self) -> Result<Node, String> {
        self.at += if self.starts("for") { 3 } else { 6 };
        self.blank();
        if self.starts("((") {
            self.at += 2;
            self.arithmetic()?;
            self.blank();
            self.at += usize::from(self.peek() == Some(';'));
            return self.body();
        }
        let name = self.keyword();
        self.at += name.chars().count();
        self.space()?;
        let mut words = None;
        if self.keyword() == "in" {
            self.at += 2;
            let mut list = Vec::new();
            loop {
                self.blank();
                match self.peek() {
                    Some(';' | '\n') | None => break,
                    Some(_) => list.push(self.some_word()?),
                }
            }
            words = Some(list);
        }
        self.blank();
        self.at += usize::from(self.peek() == Some(';'));
        Ok(Node::For { name, words, body: Box::new(self.body()?) })
    }

    pub(super) fn case(&mut self) -> Result<Node, String> {
        self.at += 4;
        self.blank();
        let mut parts = vec![Node::Words(vec![self.word()?])];
        self.expect("in")?;
        loop {
            self.space()?;
            if self.keyword() == "esac" {
                self.at += 4;
                return Ok(Node::Sequence(parts));
            }
            self.at += usize::from(self.peek() == Some('('));
            // The patterns.
            loop {
                self.space()?;
                match self.peek() {
                    None => return Err("`esac` is missing".to_owned()),
                    Some(')') => break,
                    Some('|') => self.at += 1,
                    Some(_) => drop(self.some_word()?),
                }
            }
            self.at += 1;
            parts.push(self.list(&["esac"])?);
            self.space()?;
            while matches!(self.peek(), Some(';' | '&')) {
                self.at += 1;
            }
        }
    }

    /// `name() …`, at the `(`.
    pub(super) fn function(&mut self, simple: Simple) -> Result<Node, String> {
        let name = match simple.words.as_slice() {
            [word] => match word.as_slice() {
                [Piece::Text { text, quoted: false }] => text.clone(),
                _ => return Err("`(` stands where no function is named".to_owned()),
            },
            _ => return Err("`(` stands inside a command".to_owned()),
        };
        self.at += 1;
        self.blank();
        if self.next() != Some(')') {
            return Err("`(` stands inside a command".to_owned());
        }
        self.space()?;
        self.function_body(name)
    }

    pub(super) fn function_body(&mut self, name: String) -> Result<Node, String> {
        self.deeper()?;
        let body = Arc::new(self.command()?);
        self.depth -= 1;
        Ok(Node::Function { name, body })
    }
}
