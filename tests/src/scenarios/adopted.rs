//! What an agent did not open itself: what it had when it was tagged, and what others send it. The first use of each is held
//! as its opening would have been.

use std::{
    fs,
    io::Read as _,
    net::{TcpListener, TcpStream},
    os::{fd::AsFd, unix::net::UnixListener},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::{
    Scenario,
    file::{GUARDED, fresh},
    gate,
    net::PORT,
};
use crate::{
    guard::Guard,
    patience::{never, until},
};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("what_a_process_had_open_when_it_was_tagged_is_held_at_its_first_use", adopted),
        gate("files_that_were_open_are_held_however_something_gets_into_them", ways),
        gate("a_connection_from_before_the_tagging_is_held_at_its_first_use", connection),
        gate("redirections_of_the_command_line_of_an_agent_are_not_held", redirected),
        gate("a_file_that_another_sends_is_refused_until_approved", received),
        gate("a_connection_that_another_sends_is_refused_until_approved", received_connection),
    ]
}

/// A shell outside every agent, which waits for a file `go` after its preparations; killed when dropped.
struct Outside {
    child: Child,
    directory: String,
}

impl Outside {
    fn start(name: &str, prepare: &str, then: &str) -> Result<Self> {
        let directory = format!("/srv/outside-{name}");
        // What an earlier run left would be taken for this one's.
        drop(fs::remove_dir_all(&directory));
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {directory}"))?;
        let script = format!("{prepare}; echo ready > ready; while [ ! -e go ]; do sleep 0.1; done; {then}");
        let output = fs::File::create(format!("{directory}/output")).context("cannot make its output")?;
        let mut command = Command::new("/bin/bash");
        command.args(["-c", &script]).current_dir(&directory).stdin(Stdio::null());
        let child = command.stdout(output.try_clone()?).stderr(output).spawn().context("cannot start a shell")?;
        let outside = Self { child, directory };
        until("the shell to be ready", || Ok(fs::exists(outside.file("ready"))?.then_some(())))?;
        Ok(outside)
    }

    fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.directory)
    }

    /// Makes it an agent, and answers what guardctl said.
    fn tag(&self, guard: &Guard) -> Result<String> {
        let pid = self.child.id().to_string();
        let answer = guard.guardctl(&["tag", "--pid", &pid])?;
        ensure!(answer.code == 0, "guardctl tag ended with {}: {}", answer.code, answer.stderr);
        Ok(answer.stderr)
    }

    fn go(&self) -> Result<()> {
        fs::write(self.file("go"), "").context("cannot let it go on")
    }

    fn ends(&mut self) -> Result<String> {
        until("the shell to end", || self.child.try_wait().context("cannot wait for the shell"))?;
        fs::read_to_string(self.file("output")).context("cannot read its output")
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        // It has usually ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn adopted(guard: &mut Guard) -> Result<()> {
    fresh()?;
    fs::create_dir_all("/srv/secret").context("cannot make /srv/secret")?;
    fs::write("/srv/secret/key", "the key\n").context("cannot write the secret")?;
    let (file, other) = (format!("{GUARDED}/file"), format!("{GUARDED}/other"));
    let mut outside = Outside::start(
        "adopted",
        &format!("exec 5>>{file} 6</srv/secret/key 8<>{other}"),
        "echo more >&5; echo code $?; echo again >&5; echo code $?; read line <&6; echo read $line; \
         fallocate --punch-hole --length 3 /proc/self/fd/8; \
         python3 -c 'import os; os.pwrite(8, b\"X\", 0)'; echo code $?",
    )?;
    let said = outside.tag(guard)?;
    ensure!(said.contains("open already"), "guardctl does not say what was open: {said}");
    outside.go()?;
    let hold = guard.held("open_write", &file)?;
    let text = || fs::read_to_string(&file).context("cannot read the file");
    never("written before anybody decided", || Ok(text()? != "file\n"))?;
    guard.decide("approve", &hold)?;
    let hold = guard.held("open_read", "/srv/secret/key")?;
    ensure!(text()? == "file\nmore\nagain\n", "the second write of an approved descriptor: {:?}", text()?);
    guard.decide("deny", &hold)?;
    // Opening it anew by `/proc` is an open, which is judged as ever.
    let hold = guard.held("open_write", &other)?;
    guard.decide("deny", &hold)?;
    let hold = guard.held("open_write", &other)?;
    guard.guardctl(&["deny", crate::guard::id(&hold)?])?;
    let output = outside.ends()?;
    ensure!(output.starts_with("code 0\ncode 0\n") && output.ends_with("code 1\n"), "it printed {output:?}");
    ensure!(!output.contains("the key"), "denied, and read: {output:?}");
    ensure!(fs::read_to_string(&other).context("cannot read it")? == "other\n", "denied, and changed: {output:?}");
    Ok(())
}

/// Puts something into files that are open as 5 to 8, each in another way.
const WAYS: &str = r#"import mmap, os

def mapped():
    with mmap.mmap(5, 4, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE) as memory:
        memory[0:1] = b"X"

def copied():
    os.copy_file_range(9, 6, 4, 0, 0)

def sent():
    os.sendfile(7, 9, 0, 4)

def spliced():
    out, into = os.pipe()
    os.write(into, b"pipe")
    os.splice(out, 8, 4, offset_dst=0)

for way in mapped, copied, sent, spliced:
    try:
        way()
        print(way.__name__, "done", flush=True)
    except OSError as error:
        print(way.__name__, error.errno, flush=True)
"#;

fn ways(guard: &mut Guard) -> Result<()> {
    /// What is in each file when its way was approved.
    const AFTER: [(&str, &str); 4] = [("mapped", "Xext"), ("copied", "impo"), ("sent", "impo"), ("spliced", "pipe")];
    let program = "/srv/ways-in.py";
    fresh()?;
    fs::write(program, WAYS).with_context(|| format!("cannot write {program}"))?;
    let file = |name: &str| format!("{GUARDED}/{name}");
    let text = |name: &str| fs::read_to_string(file(name)).with_context(|| format!("cannot read {name}"));
    let open = AFTER.iter().zip(5..).map(|((name, _), number)| format!("{number}<>{}", file(name)));
    let open = open.collect::<Vec<_>>().join(" ");
    for (verb, said) in [("deny", "1"), ("approve", "done")] {
        for (name, _) in AFTER {
            fs::write(file(name), "text").context("cannot make a file")?;
        }
        let prepare = format!("exec {open} 9<{program}");
        let mut outside = Outside::start(&format!("ways-{verb}"), &prepare, &format!("exec python3 {program}"))?;
        outside.tag(guard)?;
        let before = guard.count("held")?;
        outside.go()?;
        let first = guard.held("open_write", &file("mapped"))?;
        never("changed before anybody decided", || Ok(text("mapped")? != "text"))?;
        guard.decide(verb, &first)?;
        // A decision may cover what the process does next in the same place.
        until("the program to end", || {
            for hold in guard.pending()? {
                let about = hold["operation"]["path"].as_str().unwrap_or_default();
                let now = fs::read_to_string(about).with_context(|| format!("cannot read {about:?}"))?;
                // Covered since it was listed, it waits no more.
                let waits = guard.pending()?.iter().any(|other| other["id"] == hold["id"]);
                ensure!(!waits || now == "text", "{about} is {now:?} while it waits");
                guard.guardctl(&[verb, crate::guard::id(&hold)?])?;
            }
            outside.child.try_wait().context("cannot wait for the program")
        })?;
        let output = outside.ends()?;
        let expected: String = AFTER.iter().map(|(name, _)| format!("{name} {said}\n")).collect();
        ensure!(output == expected, "{verb}: it printed {output:?}");
        for (name, after) in AFTER {
            let wanted = if verb == "deny" { "text" } else { after };
            ensure!(text(name)? == wanted, "{verb}: {name} is {:?}", text(name)?);
        }
        let held = guard.count("held")? - before;
        ensure!(held >= 4, "{verb}: of four ways {held} were held");
    }
    Ok(())
}

fn connection(guard: &mut Guard) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", PORT)).context("cannot listen")?;
    let mut outside = Outside::start(
        "connection",
        &format!("exec 7<>/dev/tcp/127.0.0.1/{PORT}"),
        "echo one >&7; echo code $?; echo two >&7; echo code $?",
    )?;
    let (mut stream, _) = listener.accept().context("nobody connected")?;
    stream.set_nonblocking(true).context("cannot look without waiting")?;
    outside.tag(guard)?;
    outside.go()?;
    let hold = guard.held("connect", &PORT.to_string())?;
    let mut buffer = [0; 64];
    never("sent before anybody decided", || Ok(stream.read(&mut buffer).is_ok_and(|len| len > 0)))?;
    guard.decide("approve", &hold)?;
    let output = outside.ends()?;
    ensure!(output == "code 0\ncode 0\n", "it printed {output:?}");
    let mut said = String::new();
    stream.read_to_string(&mut said).context("cannot read what was sent")?;
    ensure!(said == "one\ntwo\n", "what arrived is {said:?}");
    Ok(())
}

/// A person who redirects an agent's output to a file wants it there.
fn redirected(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let output = fs::File::options().append(true).open(format!("{GUARDED}/file")).context("cannot open the file")?;
    let mut command = guard.command();
    command.args(["run", "--no-workspace", "--", "echo", "from the agent"]).stdout(output);
    let status = command.status().context("cannot start guardctl run")?;
    let text = fs::read_to_string(format!("{GUARDED}/file")).context("cannot read the file")?;
    ensure!(status.success() && text == "file\nfrom the agent\n", "{status}, and the file is {text:?}");
    Ok(())
}

fn received(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let file = fs::File::options().append(true).open(format!("{GUARDED}/file")).context("cannot open the file")?;
    let text = || fs::read_to_string(format!("{GUARDED}/file")).context("cannot read the file");
    handed_over(guard, &file, ("open_write", GUARDED), || {
        ensure!(text()? == "file\n", "refused, and written: {:?}", text()?);
        Ok(())
    })?;
    ensure!(text()? == "file\nsent\n", "approved, and the file is {:?}", text()?);
    Ok(())
}

/// The same of a connection that was made outside every agent, to where a rule says no agent goes unasked.
fn received_connection(guard: &mut Guard) -> Result<()> {
    let server = TcpListener::bind(("127.0.0.1", PORT)).context("cannot listen")?;
    let connected = TcpStream::connect(("127.0.0.1", PORT)).context("cannot connect")?;
    let (mut stream, _) = server.accept().context("nobody connected")?;
    stream.set_nonblocking(true).context("cannot look without waiting")?;
    handed_over(guard, &connected, ("connect", &PORT.to_string()), || {
        ensure!((&stream).read(&mut [0; 64]).is_err(), "refused, and something was sent");
        Ok(())
    })?;
    drop(connected);
    stream.set_nonblocking(false).context("cannot wait")?;
    let mut said = String::new();
    stream.read_to_string(&mut said).context("cannot read what was sent")?;
    ensure!(said == "sent\n", "what arrived is {said:?}");
    Ok(())
}

/// An agent is sent a descriptor and writes `sent` to it. The message is consumed, so that nothing can wait: it is refused,
/// held as this operation about this, and after an approval the next one passes.
fn handed_over(
    guard: &Guard,
    what: &impl AsFd,
    (op, about): (&str, &str),
    is_untouched: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let path = "/srv/sender.sock";
    drop(fs::remove_file(path));
    let listener = UnixListener::bind(path).context("cannot listen")?;
    let mut agent = guard.agent(&format!("guard-tests act receive {path} sent"))?;
    send(&listener, what)?;
    let hold = guard.held(op, about)?;
    agent.says("nothing came")?;
    is_untouched()?;
    guard.decide("approve", &hold)?;
    fs::write(agent.workspace().join("go"), "").context("cannot let it go on")?;
    send(&listener, what)?;
    let output = agent.ends_with(0)?;
    ensure!(output == "nothing came\nwritten\n", "it printed {output:?}");
    Ok(())
}

/// Sends a descriptor to whoever connects next.
fn send(listener: &UnixListener, what: &impl AsFd) -> Result<()> {
    let (stream, _) = listener.accept().context("nobody connected")?;
    let mut space = [const { std::mem::MaybeUninit::uninit() }; rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files = [what.as_fd()];
    ensure!(control.push(SendAncillaryMessage::ScmRights(&files)), "no room for a descriptor");
    sendmsg(&stream, &[std::io::IoSlice::new(b"f")], &mut control, SendFlags::empty()).context("cannot send")?;
    Ok(())
}
