//! Redirections of shell text, and here-documents, whose text stands after the line that asks for them.

use std::sync::Arc;

use super::{
    parse::Parser,
    syntax::{Node, Piece, Redirect, Simple, Word},
};

/// A here-document: its end word, and its text when that has been read.
pub(super) struct Document {
    pub(super) end: String,
    pub(super) strip: bool,
    pub(super) quoted: bool,
    pub(super) text: Option<Word>,
}

impl Parser {
    /// A newline, and the here-documents that begin after it.
    pub(super) fn newline(&mut self) -> Result<(), String> {
        self.at += 1;
        for number in 0..self.documents.len() {
            if self.documents[number].text.is_some() {
                continue;
            }
            let mut text = String::new();
            loop {
                if self.peek().is_none() {
                    break;
                }
                let line: String = self.rest().take_while(|letter| *letter != '\n').collect();
                self.at += line.chars().count() + 1;
                let document = &self.documents[number];
                let line = if document.strip { line.trim_start_matches('\t') } else { &line };
                if line == document.end {
                    break;
                }
                text.push_str(line);
                text.push('\n');
            }
            self.at = self.at.min(self.letters.len());
            let word = if self.documents[number].quoted {
                vec![Piece::Text { text, quoted: true }]
            } else {
                let mut inner = Self::new(&text, self.depth + 1)?;
                inner.deeper()?;
                let mut word = Word::new();
                inner.quoted(&mut word, None)?;
                word
            };
            self.documents[number].text = Some(word);
        }
        Ok(())
    }

    pub(super) fn redirect(&mut self) -> Result<Option<Redirect>, String> {
        self.blank();
        let digits = self.rest().take_while(char::is_ascii_digit).count();
        let both = usize::from(digits == 0 && self.peek() == Some('&') && self.look(1) == Some('>'));
        let sign = self.look(digits + both);
        if !matches!(sign, Some('<' | '>')) || (self.look(digits + 1) == Some('(') && both == 0 && digits == 0) {
            return Ok(None);
        }
        self.at += digits + both;
        const SIGNS: [&str; 10] = ["<<<", "<<-", "<<", "<>", "<&", ">>", ">|", ">&", "<", ">"];
        let Some(sign) = SIGNS.into_iter().find(|sign| self.starts(sign)) else { return Ok(None) };
        self.at += sign.len();
        self.blank();
        let word = self.some_word()?;
        if word.is_empty() {
            return Err("a redirection leads nowhere".to_owned());
        }
        Ok(Some(match sign {
            "<<<" => Redirect::Text(word),
            "<<" | "<<-" => {
                let quoted = word.iter().any(|piece| matches!(piece, Piece::Text { quoted: true, .. }));
                let end =
                    word.iter().map(|piece| if let Piece::Text { text, .. } = piece { text.as_str() } else { "" });
                let end = end.collect();
                self.documents.push(Document { end, strip: sign == "<<-", quoted, text: None });
                Redirect::Pending(self.documents.len() - 1)
            }
            "<" => Redirect::Read(word),
            ">>" => Redirect::Append(word),
            "<&" => Redirect::Duplicate,
            ">&" => match word.as_slice() {
                [Piece::Text { text, quoted: false }]
                    if text.chars().all(|letter| letter.is_ascii_digit() || letter == '-') =>
                {
                    Redirect::Duplicate
                }
                _ => Redirect::Overwrite(word),
            },
            _ => Redirect::Overwrite(word),
        }))
    }

    /// Puts the texts of here-documents where they belong.
    pub(super) fn finish(&mut self, node: Node) -> Node {
        let texts: Vec<Word> =
            self.documents.iter_mut().map(|document| document.text.take().unwrap_or_default()).collect();
        if texts.is_empty() { node } else { filled(node, &texts) }
    }
}

fn filled(node: Node, texts: &[Word]) -> Node {
    let all = |nodes: Vec<Node>| nodes.into_iter().map(|node| filled(node, texts)).collect();
    let boxed = |node: Box<Node>| Box::new(filled(*node, texts));
    let redirects = |redirects: Vec<Redirect>| {
        let fill = |redirect| match redirect {
            Redirect::Pending(number) => Redirect::Text(texts.get(number).cloned().unwrap_or_default()),
            other => other,
        };
        redirects.into_iter().map(fill).collect()
    };
    match node {
        Node::Simple(simple) => Node::Simple(Simple { redirects: redirects(simple.redirects), ..simple }),
        Node::Pipe(nodes) => Node::Pipe(all(nodes)),
        Node::Sequence(nodes) => Node::Sequence(all(nodes)),
        Node::Subshell(node) => Node::Subshell(boxed(node)),
        Node::For { name, words, body } => Node::For { name, words, body: boxed(body) },
        Node::Function { name, body } => {
            Node::Function { name, body: Arc::new(filled(Arc::unwrap_or_clone(body), texts)) }
        }
        Node::Redirected(node, list) => Node::Redirected(boxed(node), redirects(list)),
        // A here-document inside `$( … )` keeps its number: it stays unknown, and is read as nothing known.
        Node::Words(words) => Node::Words(words),
    }
}
