//! Which program this is, as its metrics tell.
//!
//! Must not read the environment.

use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::metrics::Registrar;

/// The release of Alertmanager whose API is spoken. karma reads it here and wants 0.22 or later; amtool warns when it is
/// not its own, so it is that of Debian.
pub const ALERTMANAGER_VERSION: &str = "0.25.0";

pub(super) fn register_alertmanager(registry: &mut Registry) {
    let labels = [
        ("branch", "watchbell"),
        ("goversion", "none"),
        ("revision", "none"),
        ("version", ALERTMANAGER_VERSION),
    ];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let build = Info::new(labels.to_vec());
    registry.sub_registry_with_prefix("alertmanager").register(
        "build",
        "The release whose API is spoken",
        build,
    );
}

pub(super) fn register_build(ours: &mut Registrar<'_>, version: &str) {
    let build = Info::new(vec![("version".to_owned(), version.to_owned())]);
    ours.add("build", "The running program", build);
}
