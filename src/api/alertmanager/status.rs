//! `GET /api/v2/status` and `/api/v2/receivers`: enough that every client believes to meet an Alertmanager.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::shapes::{RECEIVER, Receiver};
use crate::api::ApiState;
use crate::api::time::Time;
use crate::telemetry::metrics::ALERTMANAGER_VERSION;

/// What `amtool config` parses: the least that is a valid configuration.
const CONFIG: &str = "route:\n  receiver: watchbell\nreceivers:\n- name: watchbell\n";

/// The version that is spoken, since when, and that there is no cluster.
pub async fn status(State(api): State<ApiState>) -> Json<Value> {
    Json(json!({
        "cluster": {"status": "disabled", "peers": []},
        "config": {"original": CONFIG},
        "uptime": Time(api.setup().alertmanager.started_at),
        "versionInfo": {
            "branch": "watchbell",
            "buildDate": "20260101",
            "buildUser": "watchbell",
            "goVersion": "none",
            "revision": env!("CARGO_PKG_VERSION"),
            "version": ALERTMANAGER_VERSION,
        },
    }))
}

/// The one receiver.
pub async fn receivers() -> Json<[Receiver; 1]> {
    debug_assert!(CONFIG.contains(RECEIVER), "the configuration names it");
    Json([Receiver::OURS])
}
