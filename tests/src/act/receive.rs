//! Receives a descriptor over a Unix socket and writes to it. Where none comes it tries again when it is told to.

use std::{
    io::{IoSliceMut, Write as _},
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

pub(super) fn run(socket: &str, text: &str) -> Result<()> {
    let file = loop {
        if let Some(file) = receive(socket)? {
            break file;
        }
        println!("nothing came");
        while !Path::new("go").exists() {
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    writeln!(std::fs::File::from(file), "{text}").context("cannot write to what came")?;
    println!("written");
    Ok(())
}

fn receive(socket: &str) -> Result<Option<OwnedFd>> {
    let stream = UnixStream::connect(socket).with_context(|| format!("cannot connect to {socket}"))?;
    let mut space = [const { MaybeUninit::uninit() }; rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(&stream, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::empty()).context("cannot receive")?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(mut files) = message
            && let Some(file) = files.next()
        {
            return Ok(Some(file));
        }
    }
    Ok(None)
}
