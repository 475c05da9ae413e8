//! What the person at the demo wants, and asking for it.

use std::io::{BufRead, Write};

use anyhow::{Context as _, Result, ensure};

/// What the person wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Approve,
    Deny,
    Kill,
}

impl Choice {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.trim().to_lowercase().as_str() {
            "approve" | "a" => Some(Self::Approve),
            "deny" | "d" => Some(Self::Deny),
            "kill" | "k" => Some(Self::Kill),
            _ => None,
        }
    }
}

/// Asks until the answer is one; an error when nobody is there to answer.
pub(super) fn ask(answers: &mut impl BufRead, screen: &mut impl Write) -> Result<Choice> {
    loop {
        write!(screen, "\nWhat shall happen? [approve/deny/kill] ").context("cannot write")?;
        screen.flush().context("cannot write")?;
        let mut line = String::new();
        let length = answers.read_line(&mut line).context("cannot read the answer")?;
        ensure!(length > 0, "nobody answered; --decide answers without a person");
        match Choice::parse(&line) {
            Some(choice) => return Ok(choice),
            None => writeln!(screen, "Please type approve, deny or kill; nothing happens before that.")
                .context("cannot write")?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(typed: &str) -> (Result<Choice>, String) {
        let mut screen = Vec::new();
        let choice = ask(&mut typed.as_bytes(), &mut screen);
        (choice, String::from_utf8(screen).unwrap())
    }

    #[test]
    fn each_answer_and_its_first_letter_is_understood() {
        for (typed, wanted) in [
            ("approve\n", Choice::Approve),
            ("A\n", Choice::Approve),
            (" deny \r\n", Choice::Deny),
            ("kill", Choice::Kill),
            ("k\n", Choice::Kill),
        ] {
            assert_eq!(answered(typed).0.unwrap(), wanted, "{typed:?}");
        }
    }

    #[test]
    fn a_wrong_answer_and_an_empty_one_are_asked_again() {
        let (choice, screen) = answered("yes\n\ndeny\n");
        assert_eq!(choice.unwrap(), Choice::Deny);
        assert_eq!(screen.matches("What shall happen?").count(), 3);
        assert_eq!(screen.matches("Please type").count(), 2);
    }

    #[test]
    fn the_end_of_input_decides_nothing() {
        assert!(answered("").0.unwrap_err().to_string().contains("nobody answered"));
        assert!(answered("maybe\n").0.is_err());
    }
}
