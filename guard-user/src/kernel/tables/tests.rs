//! Prefixes of the path table, without a kernel.

use guard_common::op::OpSet;

use super::entry::with_ancestors;

fn check(paths: &[(&str, u64)], expect: &[(&str, u64, u32)]) {
    let paths: Vec<_> = paths.iter().map(|(path, ops)| (path.as_bytes().to_vec(), OpSet(*ops))).collect();
    let found: Vec<_> = with_ancestors(&paths)
        .into_iter()
        .map(|(path, value)| (String::from_utf8(path).unwrap(), value.ops.0, value.deeper))
        .collect();
    let found: Vec<_> = found.iter().map(|(path, ops, deeper)| (path.as_str(), *ops, *deeper)).collect();
    assert_eq!(found, expect);
}

#[test]
fn a_directory_above_an_entry_says_that_there_is_one_below() {
    check(
        &[("/", 1), ("/home/u/ws/", 0), ("/home/u/.ssh/", 2)],
        &[("/", 1, 1), ("/home/", 1, 1), ("/home/u/", 1, 1), ("/home/u/.ssh/", 2, 0), ("/home/u/ws/", 0, 0)],
    );
}

#[test]
fn a_prefix_too_long_for_the_table_covers_more_not_less() {
    let long = format!("/{}/{}/", "a".repeat(200), "b".repeat(200));
    let wide = format!("/{}/", "a".repeat(200));
    check(&[(&long, 4)], &[("/", 0, 1), (&wide, 4, 0)]);
}
