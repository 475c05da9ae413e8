//! The other ways into the kernel: a 32-bit program, and a 64-bit one that makes a 32-bit call. The numbers mean other
//! calls there. The programs are made here, byte by byte: a compiler for them is not everywhere.

use std::{fs, os::unix::fs::PermissionsExt as _};

use anyhow::{Context as _, Result, ensure};

use super::{trip, tripped};
use crate::{
    guard::Guard,
    patience::never,
    scenarios::{
        Scenario,
        file::{fresh, gone},
    },
};

/// Where the program is in memory: below 4 GiB, so that a 32-bit register can point into it.
const ADDRESS: u32 = 0x0040_0000;
const FILE: &[u8] = b"/srv/guarded/file\0";

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        trip("trip_stops_after_a_removal_by_a_32_bit_program", |guard| removal(guard, Word::Bits32)),
        trip("trip_stops_after_a_removal_by_a_32_bit_call_of_a_64_bit_program", |guard| removal(guard, Word::Bits64)),
    ]
}

#[derive(Clone, Copy)]
enum Word {
    Bits32,
    Bits64,
}

fn removal(guard: &Guard, word: Word) -> Result<()> {
    fresh()?;
    let program = "/srv/remover";
    fs::write(program, remover(word)).context("cannot write the program")?;
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).context("cannot make it executable")?;
    let mut agent = guard.agent("/srv/remover; echo code $?")?;
    let hold = tripped(guard, "unlink", "/srv/guarded/file")?;
    ensure!(gone("file"), "it is said to have happened, and has not");
    never("it went on before anybody decided", || Ok(agent.output()?.contains("code")))?;
    guard.decide("approve", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output == "code 0\n", "approved, and it printed {output:?}");
    Ok(())
}

/// `unlink(FILE)` through `int 0x80`, whose answer is the exit code.
fn remover(word: Word) -> Vec<u8> {
    let (head, program_head): (u32, u32) = match word {
        Word::Bits32 => (52, 32),
        Word::Bits64 => (64, 56),
    };
    let entry = ADDRESS + head + program_head;
    // These instructions have the same bytes in both modes.
    let mut code = vec![0xb8, 10, 0, 0, 0, 0xbb];
    let mut rest = vec![0xcd, 0x80, 0x89, 0xc3, 0xb8, 1, 0, 0, 0, 0xcd, 0x80];
    let text = entry + 10 + u32::try_from(rest.len()).unwrap_or(0);
    code.extend(text.to_le_bytes());
    code.append(&mut rest);
    code.extend(FILE);
    let size = head + program_head + u32::try_from(code.len()).unwrap_or(0);

    let mut file = vec![0x7f, b'E', b'L', b'F', if matches!(word, Word::Bits32) { 1 } else { 2 }, 1, 1];
    file.resize(16, 0);
    let half = |file: &mut Vec<u8>, value: u32| file.extend(&value.to_le_bytes()[..2]);
    let long = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
    // An address or an offset is as long as the program's registers.
    let wide = |file: &mut Vec<u8>, value: u32| {
        file.extend(value.to_le_bytes());
        if matches!(word, Word::Bits64) {
            file.extend([0; 4]);
        }
    };
    half(&mut file, 2);
    half(&mut file, if matches!(word, Word::Bits32) { 3 } else { 62 });
    long(&mut file, 1);
    wide(&mut file, entry);
    wide(&mut file, head);
    wide(&mut file, 0);
    long(&mut file, 0);
    for value in [head, program_head, 1, 0, 0, 0] {
        half(&mut file, value);
    }
    long(&mut file, 1);
    if matches!(word, Word::Bits64) {
        long(&mut file, 5);
    }
    for value in [0, ADDRESS, ADDRESS, size, size] {
        wide(&mut file, value);
    }
    if matches!(word, Word::Bits32) {
        long(&mut file, 5);
    }
    wide(&mut file, 0x1000);
    file.extend(code);
    file
}
