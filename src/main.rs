//! The `jarvis` binary: everything is in the library.

fn main() -> std::process::ExitCode {
    jarvis::cli::main()
}
