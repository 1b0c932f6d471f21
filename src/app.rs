//! The composition root: settings to a running daemon.

use crate::config::{LoadRequest, Settings};

/// Runs the daemon until it is told to stop; `request` is how a reload finds the configuration again.
///
/// # Errors
/// What could not be opened, or which part ended unasked.
#[expect(clippy::unused_async, reason = "a placeholder until the daemon is merged")]
pub async fn serve(request: LoadRequest, settings: Settings) -> anyhow::Result<()> {
    drop((request, settings));
    anyhow::bail!("the daemon is not part of this build")
}
