# A Rust crate with a dependency beside it: built, tested, run, cleaned.
set -eu
export CARGO_TERM_COLOR=never
mkdir -p total/src sum/src
cat >Cargo.toml <<'END'
[workspace]
members = ["sum", "total"]
END
cat >sum/Cargo.toml <<'END'
[package]
name = "sum"
version = "0.1.0"
edition = "2021"
END
cat >sum/src/lib.rs <<'END'
pub fn sum(numbers: &[u32]) -> u32 {
    numbers.iter().sum()
}

#[test]
fn all_are_added() {
    assert_eq!(sum(&[1, 2, 3]), 6);
}
END
cat >total/Cargo.toml <<'END'
[package]
name = "total"
version = "0.1.0"
edition = "2021"

[dependencies]
sum = { path = "../sum" }
END
cat >total/src/main.rs <<'END'
fn main() {
    println!("{}", sum::sum(&[19, 23]));
}
END
cargo build --quiet --offline
cargo run --quiet --offline
cargo test --quiet --offline --package sum --lib | sed 's/finished in .*/finished/'
cargo clean --quiet
find . -type f | sort
