//! Commands of shell text: POSIX and what bash adds that people type. What is not understood is an error, never
//! skipped. Every depth and length is bounded.

use std::sync::Arc;

use super::{
    read::META,
    syntax::{Node, Piece, Redirect, Simple, Word},
};

const LONGEST: usize = 128 * 1024;
const DEEPEST: usize = 60;

pub(super) struct Parser {
    letters: Vec<char>,
    pub(super) at: usize,
    pub(super) depth: usize,
    /// Here-documents by their number: end word, whether tabs are stripped, whether it is quoted, then the text.
    documents: Vec<Document>,
}

struct Document {
    end: String,
    strip: bool,
    quoted: bool,
    text: Option<Word>,
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
    fn new(text: &str, depth: usize) -> Result<Self, String> {
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

    fn starts(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(place, letter)| self.look(place) == Some(letter))
    }

    /// Skips blanks, continued lines and comments, but no newline.
    fn blank(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t') => self.at += 1,
                Some('\\') if self.look(1) == Some('\n') => self.at += 2,
                Some('#') => self.at += self.rest().take_while(|letter| *letter != '\n').count(),
                _ => return,
            }
        }
    }

    /// A newline, and the here-documents that begin after it.
    fn newline(&mut self) -> Result<(), String> {
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

    fn space(&mut self) -> Result<(), String> {
        loop {
            self.blank();
            if self.peek() != Some('\n') {
                return Ok(());
            }
            self.newline()?;
        }
    }

    /// A plain word that is next, without taking it.
    fn keyword(&mut self) -> String {
        self.blank();
        self.rest().take_while(|letter| !META.contains(letter)).take(64).collect()
    }

    /// Commands until one of `ends` stands where a command would, or a `)`.
    fn list(&mut self, ends: &[&str]) -> Result<Node, String> {
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

    fn expect(&mut self, word: &str) -> Result<(), String> {
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
        while self.keyword() == "!" {
            self.at += 1;
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

    fn command(&mut self) -> Result<Node, String> {
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
            "[[" => {
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
                Node::Words(words)
            }
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

    fn body(&mut self) -> Result<Node, String> {
        self.expect("do")?;
        let body = self.list(&["done"])?;
        self.expect("done")?;
        Ok(body)
    }

    fn for_loop(&mut self) -> Result<Node, String> {
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

    fn case(&mut self) -> Result<Node, String> {
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

    /// A word that is not empty: an empty one would never end a loop.
    fn some_word(&mut self) -> Result<Word, String> {
        let before = self.at;
        let word = self.word()?;
        match self.peek() {
            Some(letter) if self.at == before => Err(format!("`{letter}` stands where a word should")),
            _ => Ok(word),
        }
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
            let found = self.peek().map_or("the end".to_owned(), |letter| format!("`{letter}`"));
            return Err(format!("{found} stands where a command should"));
        }
        Ok(Node::Simple(simple))
    }

    /// `name() …`, at the `(`.
    fn function(&mut self, simple: Simple) -> Result<Node, String> {
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

    fn function_body(&mut self, name: String) -> Result<Node, String> {
        self.deeper()?;
        let body = Arc::new(self.command()?);
        self.depth -= 1;
        Ok(Node::Function { name, body })
    }

    /// `NAME=` or `NAME+=` that is next; taken when it is.
    fn assigned(&mut self) -> Option<String> {
        let name: String = self.rest().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
        let starts_well = name.chars().next().is_some_and(|letter| !letter.is_ascii_digit());
        let plus = usize::from(self.look(name.len()) == Some('+'));
        if !starts_well || self.look(name.len() + plus) != Some('=') {
            return None;
        }
        self.at += name.len() + plus + 1;
        Some(name)
    }

    /// `( … )` of an array: its words, with blanks between.
    fn array(&mut self) -> Result<Word, String> {
        self.at += 1;
        let mut all = Word::new();
        loop {
            self.space()?;
            if self.peek() == Some(')') {
                self.at += 1;
                return Ok(all);
            }
            if !all.is_empty() {
                all.push(Piece::Text { text: " ".to_owned(), quoted: false });
            }
            all.extend(self.some_word()?);
        }
    }

    fn redirect(&mut self) -> Result<Option<Redirect>, String> {
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
    fn finish(&mut self, node: Node) -> Node {
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
