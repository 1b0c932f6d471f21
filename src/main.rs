//! The program: makes one TLS provider the default, then hands the arguments to the command line.
//!
//! Must not do anything else: what runs before the first runtime thread is hard to test.

use std::process::ExitCode;

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // With no default, or two, the first TLS handshake would panic. It fails only when there is one already.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    watchbell::cli::run(std::env::args_os())
}
