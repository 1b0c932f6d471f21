//! The profiles of targets that are only HTTP, compiled in from `config/targets`.
//!
//! Must not send anything; `deliver` does, by what stands here.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// What a profile says; see `config/targets`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetProfile {
    /// Keys that the operator must write.
    pub needs: Vec<String>,
    /// Of these at least one.
    pub needs_any: Vec<String>,
    /// Whether `to` must be known.
    pub needs_to: bool,
    /// The method; POST unless written.
    pub method: Option<String>,
    /// The address.
    pub url: String,
    /// Whether the address holds a key.
    pub is_url_secret: bool,
    /// Headers.
    pub headers: BTreeMap<String, String>,
    /// Whether user and password are sent as basic authentication.
    pub is_basic: bool,
    /// The body as JSON.
    pub body: Option<String>,
    /// The body as a form.
    pub form: BTreeMap<String, String>,
    /// When a 2xx is a failure all the same.
    pub failed: Option<String>,
    /// Messages each second that the product likes.
    pub per_second: Option<u32>,
    /// What it is told of unless the operator says otherwise.
    pub events: Vec<String>,
}

/// The files, by kind.
const FILES: &[(&str, &str)] = &[
    ("slack", include_str!("../../config/targets/slack.toml")),
    ("teams", include_str!("../../config/targets/teams.toml")),
    (
        "mattermost",
        include_str!("../../config/targets/mattermost.toml"),
    ),
    (
        "rocketchat",
        include_str!("../../config/targets/rocketchat.toml"),
    ),
    ("discord", include_str!("../../config/targets/discord.toml")),
    (
        "telegram",
        include_str!("../../config/targets/telegram.toml"),
    ),
    ("ntfy", include_str!("../../config/targets/ntfy.toml")),
    ("gotify", include_str!("../../config/targets/gotify.toml")),
    (
        "pushover",
        include_str!("../../config/targets/pushover.toml"),
    ),
    ("matrix", include_str!("../../config/targets/matrix.toml")),
    (
        "pagerduty",
        include_str!("../../config/targets/pagerduty.toml"),
    ),
    (
        "opsgenie",
        include_str!("../../config/targets/opsgenie.toml"),
    ),
    (
        "alertmanager",
        include_str!("../../config/targets/alertmanager.toml"),
    ),
    ("sms", include_str!("../../config/targets/sms.toml")),
    ("voice", include_str!("../../config/targets/voice.toml")),
];
/// Other words for a kind.
const ALSO: &[(&str, &str)] = &[
    ("msteams", "teams"),
    ("microsoft-teams", "teams"),
    ("microsoft_teams", "teams"),
    ("rocket_chat", "rocketchat"),
    ("rocket-chat", "rocketchat"),
    ("rocket.chat", "rocketchat"),
    ("jsm", "opsgenie"),
    ("twilio", "sms"),
    ("twilio-sms", "sms"),
    ("twilio-voice", "voice"),
    ("twilio_sms", "sms"),
    ("twilio_voice", "voice"),
    ("jsm-ops", "opsgenie"),
    ("call", "voice"),
];

static PROFILES: LazyLock<BTreeMap<&'static str, TargetProfile>> = LazyLock::new(|| {
    let read = |(kind, text): &(&'static str, &str)| {
        let profile = toml::from_str(text);
        if let Err(error) = &profile {
            // A test reads every one, so this is never met.
            debug_assert!(false, "{kind}: {error}");
        }
        Some((*kind, profile.ok()?))
    };
    FILES.iter().filter_map(read).collect()
});

/// The kind that a word of the configuration means, with its profile.
pub fn find(word: &str) -> Option<(&'static str, &'static TargetProfile)> {
    let also = ALSO.iter().find(|(other, _)| *other == word);
    let word = also.map_or(word, |(_, kind)| kind);
    PROFILES
        .get_key_value(word)
        .map(|(kind, profile)| (*kind, profile))
}

/// Every kind.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_can_be_read() {
        for kind in kinds() {
            let (_, profile) = find(kind).unwrap_or_else(|| panic!("{kind}"));
            assert!(profile.body.is_some() || !profile.form.is_empty(), "{kind}");
        }
    }
}
