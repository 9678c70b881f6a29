//! The command-line tool; see [`maf_srl::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    maf_srl::cli::main()
}
