//! The `watchbell` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    let request = watchbell::config::LoadRequest::new(
        std::env::args().nth(1).map(Into::into),
        watchbell::config::Env::process(),
    );
    let settings = watchbell::config::load(&request)
        .map_err(|e| eprintln!("{e}"))
        .unwrap();
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    match runtime.block_on(watchbell::app::serve(request, settings, Vec::new())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e:#}");
            ExitCode::from(3)
        }
    }
}
