//! Which source lines are left of a loaded kernel program. A verifier that believes a branch is never taken removes what
//! is behind it, and a wrong belief is a hole nothing else would show. `xtask` compares the kernels.
#![expect(unsafe_code, reason = "bpf(2) has no safe interface that tells of lines")]

use std::{
    collections::BTreeMap,
    fs, io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use anyhow::{Context as _, Result, ensure};

/// Commands of bpf(2).
const PROG_GET_NEXT_ID: i64 = 11;
const PROG_GET_FD_BY_ID: i64 = 13;
const OBJ_GET_INFO_BY_FD: i64 = 15;
const BTF_GET_FD_BY_ID: i64 = 19;

/// `struct bpf_prog_info`, as words of four bytes: what is read of it, where, and how much of it is asked for.
const INFO_WORDS: usize = 44;
const NAME: usize = 16;
const BTF_ID: usize = 32;
const FUNCTION_SIZE: usize = 33;
const FUNCTIONS_AT: usize = 34;
const FUNCTIONS: usize = 36;
const LINES: usize = 37;
const LINES_AT: usize = 38;
const LINE_SIZE: usize = 43;

/// `struct bpf_line_info { u32 insn_off, file_name_off, line_off, line_col; }`
const LINE_WORDS: usize = 4;

/// `struct bpf_func_info { u32 insn_off, type_id; }`
const FUNCTION_WORDS: usize = 2;

/// Lines of guard's own files that are left, by program and function, and by file. A function goes by where it begins.
pub(crate) type Kept = BTreeMap<(String, String), BTreeMap<String, Vec<u32>>>;

/// Reads them of every loaded program that has lines of guard's.
pub(crate) fn read() -> Result<Kept> {
    let mut kept = Kept::new();
    let mut id = 0;
    while let Some(next) = next_program(id)? {
        id = next;
        // A program of somebody else may end between the two calls.
        let Ok(program) = open(PROG_GET_FD_BY_ID, id) else { continue };
        let mut info = [0; INFO_WORDS];
        describe(&program, &mut info)?;
        let count = usize::try_from(info[LINES])?;
        if count == 0 {
            continue;
        }
        let strings = strings(info[BTF_ID])?;
        let mut lines = vec![0_u32; count * LINE_WORDS];
        let mut functions = vec![0_u32; usize::try_from(info[FUNCTIONS])? * FUNCTION_WORDS];
        let name = name(&info);
        let mut ask = [0; INFO_WORDS];
        ask[LINES] = info[LINES];
        ask[LINE_SIZE] = u32::try_from(LINE_WORDS * 4)?;
        [ask[LINES_AT], ask[LINES_AT + 1]] = words(lines.as_mut_ptr() as u64);
        ask[FUNCTIONS] = info[FUNCTIONS];
        ask[FUNCTION_SIZE] = u32::try_from(FUNCTION_WORDS * 4)?;
        [ask[FUNCTIONS_AT], ask[FUNCTIONS_AT + 1]] = words(functions.as_mut_ptr() as u64);
        describe(&program, &mut ask)?;
        let begins: Vec<u32> = functions.as_chunks::<FUNCTION_WORDS>().0.iter().map(|function| function[0]).collect();
        let mut function = String::new();
        for line in lines.as_chunks::<LINE_WORDS>().0 {
            let file = text(&strings, line[1])?;
            let own = file.split_once("guard-ebpf/src/").map(|(_, own)| own);
            // The kernel wants a line at the beginning of each function, and lines in their order.
            if begins.contains(&line[0]) {
                function = format!("{}:{}", own.unwrap_or(&file).replace(' ', "_"), line[3] >> 10);
            }
            if let Some(own) = own {
                let files = kept.entry((name.clone(), function.clone())).or_default();
                files.entry(own.to_owned()).or_default().push(line[3] >> 10);
            }
        }
    }
    for lines in kept.values_mut().flat_map(BTreeMap::values_mut) {
        lines.sort_unstable();
        lines.dedup();
    }
    Ok(kept)
}

fn next_program(after: u32) -> Result<Option<u32>> {
    let mut attribute = [after, 0, 0, 0];
    match bpf(PROG_GET_NEXT_ID, &mut attribute) {
        Ok(_) => Ok(Some(attribute[1])),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error).context("cannot list the loaded programs"),
    }
}

fn open(command: i64, id: u32) -> Result<OwnedFd> {
    let descriptor = bpf(command, &mut [id, 0, 0, 0])?;
    // SAFETY: the call succeeded, so the descriptor is a fresh one that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(descriptor)?) })
}

/// An address as it stands in the kernel's structs, the lower half first.
fn words(address: u64) -> [u32; 2] {
    [address as u32, (address >> 32) as u32]
}

/// Fills in what the kernel says of a program or of types.
fn describe(of: &OwnedFd, info: &mut [u32]) -> Result<()> {
    let [low, high] = words(info.as_mut_ptr() as u64);
    let length = u32::try_from(info.len() * 4)?;
    let descriptor = u32::try_from(of.as_raw_fd())?;
    let mut attribute = [descriptor, length, low, high];
    bpf(OBJ_GET_INFO_BY_FD, &mut attribute).context("cannot ask about a program")?;
    Ok(())
}

/// The strings of the types with this id.
fn strings(btf: u32) -> Result<Vec<u8>> {
    /// `struct bpf_btf_info { u64 btf; u32 btf_size; … }`
    const WORDS: usize = 4;
    let types = open(BTF_GET_FD_BY_ID, btf).context("cannot open a program's types")?;
    let mut info = [0; WORDS];
    describe(&types, &mut info)?;
    let mut blob = vec![0_u8; usize::try_from(info[2])?];
    let [low, high] = words(blob.as_mut_ptr() as u64);
    let mut ask = [low, high, info[2], 0];
    describe(&types, &mut ask)?;
    // `struct btf_header { u16 magic; u8 version, flags; u32 hdr_len, type_off, type_len, str_off, str_len; }`
    let word = |at: usize| -> Result<usize> {
        let bytes = blob.get(at..at + 4).context("a program's types have no header")?;
        Ok(usize::try_from(u32::from_le_bytes(bytes.try_into()?))?)
    };
    let start = word(4)? + word(16)?;
    Ok(blob.get(start..start + word(20)?).context("a program's types have no strings")?.to_vec())
}

fn text(strings: &[u8], at: u32) -> Result<String> {
    let rest = strings.get(usize::try_from(at)?..).context("a line has no file")?;
    let end = rest.iter().position(|byte| *byte == 0).context("a name has no end")?;
    Ok(String::from_utf8_lossy(&rest[..end]).into_owned())
}

/// `char name[16]`
fn name(info: &[u32; INFO_WORDS]) -> String {
    let bytes: Vec<u8> = info[NAME..NAME + 4].iter().flat_map(|word| word.to_le_bytes()).collect();
    String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

/// bpf(2); `attribute` is the beginning of `union bpf_attr`.
fn bpf(command: i64, attribute: &mut [u32; 4]) -> io::Result<i64> {
    // SAFETY: the attribute is as long as is said; addresses in it are of buffers that outlive the call and are as long
    // as is said beside them.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, attribute.as_mut_ptr(), size_of_val(attribute)) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// One line for each function of each program of a tier: `kept TIER PROGRAM FUNCTION FILE:LINE,LINE… FILE:…`.
///
/// # Errors
/// When the kernel hardens what root loads: on 6.1 and 6.12 that moves the lines, and not the functions' beginnings.
pub(crate) fn print(tier: &str) -> Result<()> {
    const HARDENED: &str = "/proc/sys/net/core/bpf_jit_harden";
    let hardened = fs::read_to_string(HARDENED).with_context(|| format!("cannot read {HARDENED}"))?;
    ensure!(hardened.trim() != "2", "{HARDENED} is 2, which moves lines: write 0 into it and try again");
    let kept = read()?;
    ensure!(kept.len() > 3, "only {} programs of guard are loaded", kept.len());
    for ((program, function), files) in kept {
        let mut line = format!("kept {tier} {program} {function}");
        for (file, lines) in files {
            let numbers: Vec<String> = lines.iter().map(u32::to_string).collect();
            line += &format!(" {file}:{}", numbers.join(","));
        }
        println!("{line}");
    }
    Ok(())
}
