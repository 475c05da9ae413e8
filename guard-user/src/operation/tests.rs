//! Records as the kernel writes them become operations, and nothing else does.

use super::*;

#[test]
fn addresses_decode_to_what_the_program_meant() {
    let inet = [2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(Address::decode(&inet), Some(Address::Inet(([127, 0, 0, 1], 8080).into())));
    assert_eq!(Address::decode(b"\x01\0/run/x.sock\0"), Some(Address::UnixPath("/run/x.sock".into())));
    assert_eq!(Address::decode(b"\x01\0\0bus"), Some(Address::UnixAbstract(b"bus".to_vec())));
    assert_eq!(Address::decode(b"\x02\0\x1f"), Some(Address::Other(2, b"\x02\0\x1f".to_vec())));
    assert_eq!(Address::decode(b""), None);
}

/// An exec with so many bytes of arguments, as the kernel writes it.
fn exec(arguments: usize) -> Stopped {
    let object = Object {
        ino: 9,
        parent_ino: 2,
        size: 3,
        dev: 1,
        generation: 0,
        mode: 0o100_755,
        rdev: 0,
        nlink: 1,
        uid: 0,
        magic: 0,
        own: 0,
        name: [0; record::NAME_MAX],
    };
    let mut stopped = Stopped {
        record: HoldRecord {
            hold: 7,
            agent: 1,
            start_boottime: 5,
            tid: 3,
            tgid: 3,
            uid: 0,
            gid: 0,
            op: Op::Exec as u32,
            flags: 0,
            context: record::context::HELD,
            stops: 1,
            doubt: 0,
            path_len: 8,
            other_path_len: 0,
            address_len: 0,
            argv_len: arguments as u32,
            argc: 1,
            detail: [0; 4],
            target: object,
            other: object,
            address: [0; record::ADDRESS_MAX],
            comm: [0; record::COMM_LEN],
            text: [b'x'; INLINE_MAX],
            passed_files: 0,
            passed_bytes: 0,
            seal: 7,
        },
        text: None,
    };
    let path = b"/bin/git";
    if Stopped::is_long(&stopped.record) {
        let mut text = Box::new(HoldText { hold: 7, text: [b'y'; record::TEXT_MAX], seal: 7 });
        text.text[arguments..arguments + path.len()].copy_from_slice(path);
        stopped.text = Some(text);
    } else {
        stopped.record.text[arguments..arguments + path.len()].copy_from_slice(path);
    }
    stopped
}

const KEY: HoldKey = HoldKey { id: 3, slot: record::SLOT_HELD };

#[test]
fn texts_are_found_in_the_record_or_beside_it() {
    for (arguments, letter) in [(0, 'x'), (248, 'x'), (249, 'y'), (4096, 'y')] {
        let operation = Operation::decode(KEY, &exec(arguments)).expect("it is whole");
        assert_eq!(operation.path, Path::new("/bin/git"));
        let expected: Vec<OsString> =
            (arguments > 0).then(|| letter.to_string().repeat(arguments).into()).into_iter().collect();
        assert_eq!(operation.argv, expected);
    }
}

#[test]
fn a_record_in_pieces_is_no_operation() {
    let refused = |change: fn(&mut Stopped)| {
        let mut stopped = exec(249);
        change(&mut stopped);
        assert_eq!(Operation::decode(KEY, &stopped), Err(DecodeError::InPieces));
    };
    refused(|stopped| stopped.text = None);
    refused(|stopped| stopped.record.seal = 6);
    refused(|stopped| stopped.text.as_mut().expect("it has one").hold = 6);
    refused(|stopped| stopped.text.as_mut().expect("it has one").seal = 6);
}

#[test]
fn a_length_beyond_the_texts_is_no_operation() {
    let mut stopped = exec(249);
    stopped.record.argv_len = u32::MAX;
    assert_eq!(Operation::decode(KEY, &stopped), Err(DecodeError::LengthOutOfRange("argv")));
    let mut stopped = exec(249);
    stopped.record.path_len = record::TEXT_MAX as u32;
    assert_eq!(Operation::decode(KEY, &stopped), Err(DecodeError::LengthOutOfRange("path")));
}

#[test]
fn empty_arguments_in_the_middle_are_kept() {
    assert_eq!(split_argv(b"git\0\0push\0"), ["git", "", "push"].map(OsString::from));
    assert!(split_argv(b"").is_empty());
}
