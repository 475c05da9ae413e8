//! guardctl on a terminal: colour, width and the list that is drawn again.

use std::{
    fs::File,
    io::Read as _,
    os::fd::OwnedFd,
    process::{Command, Stdio},
};

use rustix::{
    fs::{Mode, OFlags, open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use serde_json::json;

use crate::{
    fake::{Guardd, events, ok},
    fixture,
};

/// A terminal of 100 columns and 8 rows: our side and the program's.
fn terminal() -> (File, OwnedFd) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&ours).expect("granted");
    unlockpt(&ours).expect("unlocked");
    let name = ptsname(&ours, Vec::new()).expect("a name");
    let theirs = open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).expect("the other side");
    tcsetwinsize(&theirs, Winsize { ws_row: 8, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 }).expect("resized");
    (File::from(ours), theirs)
}

/// What guardctl draws until it ends, or until `enough` of it is there.
fn draw(guardd: &Guardd, arguments: &[&str], environment: &[(&str, &str)], enough: impl Fn(&str) -> bool) -> String {
    let (mut ours, theirs) = terminal();
    let mut child = Command::new(env!("CARGO_BIN_EXE_guardctl"))
        .args(arguments)
        .env_remove("NO_COLOR")
        .env("TERM", "xterm")
        .env("GUARD_SOCKET", guardd.socket())
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(theirs)
        .spawn()
        .expect("guardctl runs");
    let (mut drawn, mut buffer) = (Vec::new(), [0; 4096]);
    // A terminal whose other side is closed reads as an error.
    while let Ok(count) = ours.read(&mut buffer) {
        drawn.extend_from_slice(&buffer[..count]);
        if count == 0 || enough(&String::from_utf8_lossy(&drawn)) {
            break;
        }
    }
    // It may have ended by itself.
    child.kill().expect("it is ours");
    child.wait().expect("it ends");
    String::from_utf8(drawn).expect("guardctl writes UTF-8")
}

fn pending() -> Guardd {
    let path = format!("/srv/{}/end", "long/".repeat(100));
    let long = fixture::hold_with(json!({}), json!({ "path": path }));
    Guardd::answering(&[("GET /v1/holds?state=pending", vec![ok(json!([long]))])])
}

#[test]
fn a_terminal_gets_colour_unless_it_or_the_user_cannot_have_it() {
    let coloured = |environment| draw(&pending(), &["pending"], environment, |_| false).contains('\u{1b}');
    assert!(coloured(&[]));
    assert!(coloured(&[("NO_COLOR", "")]));
    assert!(!coloured(&[("NO_COLOR", "1")]));
    assert!(!coloured(&[("TERM", "dumb")]));
}

#[test]
fn a_line_of_the_list_fits_the_terminal_unless_it_is_wide() {
    let lines = draw(&pending(), &["pending"], &[("NO_COLOR", "1")], |_| false);
    assert!(lines.contains('…') && lines.lines().all(|line| line.chars().count() <= 100), "{lines}");
    let lines = draw(&pending(), &["pending", "-o", "wide"], &[("NO_COLOR", "1")], |_| false);
    assert!(!lines.contains('…') && lines.contains("long/long//end"), "{lines}");
}

#[test]
fn watch_draws_the_list_again_when_something_happens_and_no_higher_than_the_terminal() {
    let many: Vec<_> =
        (0..50).map(|number| fixture::hold_with(json!({ "id": format!("h{number}") }), json!({}))).collect();
    let guardd = Guardd::answering(&[
        ("GET /v1/events", vec![events(&[json!({ "kind": "held", "hold": fixture::hold() })])]),
        ("GET /v1/holds?state=pending", vec![ok(json!([])), ok(json!(many))]),
    ]);
    let drawn = draw(&guardd, &["pending", "--watch"], &[("NO_COLOR", "1")], |drawn| drawn.contains("more lines"));
    let frames: Vec<&str> = drawn.split("\u{1b}[H").collect();
    assert!(frames[1].contains("nothing is waiting"), "{drawn:?}");
    let last = frames.last().expect("a frame");
    assert!(last.contains("h0") && last.contains("… and"), "{last:?}");
    assert!(last.lines().count() <= 8, "{last:?}");
}
