//! guardctl: parses arguments, calls the library, maps the result to an exit code.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    guard_user::cli::main()
}
