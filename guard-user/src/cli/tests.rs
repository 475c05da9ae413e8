//! What the verbs look like: snapshots of every rendering, hostile text, help and manual pages. The exit codes are
//! tested with the real binary in `tests/guardctl`.

#[path = "../../tests/guardctl/fixture.rs"]
mod fixture;

mod hostile;
pub(super) mod looks;

use clap::builder::StyledStr;

use super::command;

/// Every verb that is not hidden, with all that clap adds to it.
fn verbs() -> Vec<clap::Command> {
    let mut command = command().disable_help_subcommand(true).term_width(100);
    command.build();
    command.get_subcommands().cloned().collect()
}

#[test]
fn the_arguments_fit_together() {
    command().debug_assert();
}

#[test]
fn every_verb_says_what_it_does_and_gives_an_example() {
    for verb in verbs() {
        let name = verb.get_name().to_owned();
        let text = |styled: Option<&StyledStr>| styled.map(ToString::to_string).unwrap_or_default();
        let (about, long) = (text(verb.get_about()), text(verb.get_long_about()));
        assert!(!about.is_empty() && about.len() <= 80 && !about.ends_with('.'), "{name}: {about:?}");
        assert!(long.len() > about.len(), "{name} has no long help");
        let after = text(verb.get_after_long_help());
        assert!(after.contains(&format!("guardctl {name}")), "{name} has no example: {after:?}");
        for argument in verb.get_arguments() {
            assert!(argument.get_help().is_some(), "{name}: {} has no help", argument.get_id());
        }
    }
}

#[test]
fn the_help_of_every_verb_is_as_reviewed() {
    insta::assert_snapshot!("help", command().term_width(100).render_long_help());
    for mut verb in verbs() {
        let name = format!("help_{}", verb.get_name());
        insta::assert_snapshot!(name, verb.render_long_help());
    }
}

#[test]
fn every_verb_has_a_manual_page() {
    let dir = tempfile::tempdir().expect("a directory");
    clap_mangen::generate_to(command(), dir.path()).expect("pages");
    let mut pages: Vec<String> = std::fs::read_dir(dir.path())
        .expect("the directory is there")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    pages.sort();
    let mut expected: Vec<String> = verbs().iter().map(|verb| format!("guardctl-{}.1", verb.get_name())).collect();
    for verb in verbs() {
        let below = verb.get_subcommands().map(clap::Command::get_name).filter(|name| *name != "help");
        expected.extend(below.map(|name| format!("guardctl-{}-{name}.1", verb.get_name())));
    }
    expected.push("guardctl.1".to_owned());
    expected.sort();
    assert_eq!(pages, expected);
    for page in pages {
        let text = std::fs::read_to_string(dir.path().join(&page)).expect("a page");
        for section in [".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH OPTIONS"] {
            assert!(text.contains(section), "{page} has no {section}");
        }
    }
}
