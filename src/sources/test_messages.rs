//! Messages by which people test a connection, as far as they look like alerts.
//!
//! For kinds without a mapping; products that come by a mapping have a `test` in their preset. Only what a product is
//! known to send is taken for a test: a real alert that is taken for one would be lost. Must not look at more than a text.
//! Sources: Grafana `receivers/testing`, Uptime Kuma `notification-providers/{pagerduty,opsgenie}.js`, Dynatrace problem
//! notifications.

use crate::core::observation::AlertText;

/// The labels of the test alert of Grafana's contact points.
const GRAFANA: [(&str, &str); 2] = [("alertname", "TestAlert"), ("instance", "Grafana")];
/// What Uptime Kuma names as affected where no monitor is.
const KUMA_SOURCE: &str = "Uptime Kuma Test Button";
/// The alias of Uptime Kuma's messages without a monitor.
const KUMA_ALIAS: &str = "uptime-kuma-notification-test";
/// The end of the text of its test; other messages without a monitor are about certificates.
const KUMA_END: &str = " Testing";
const DYNATRACE: &str = "Dynatrace problem notification test run";

/// Whether these are the labels of Grafana's test alert.
pub fn is_grafana_test(text: &AlertText) -> bool {
    GRAFANA
        .iter()
        .all(|(name, value)| text.label(name) == Some(value))
}

/// Whether an alert, known by `key` at its sender, is some product's test.
pub fn is_test(key: &str, text: &AlertText) -> bool {
    let is_kuma = key == KUMA_ALIAS || text.label("source") == Some(KUMA_SOURCE);
    is_grafana_test(text)
        || is_grafana_prose(text)
        || (is_kuma && text.summary.ends_with(KUMA_END))
        || text.summary == DYNATRACE
}

/// Grafana's templates list the labels of the only alert, one per line, or as tags.
fn is_grafana_prose(text: &AlertText) -> bool {
    let mut values = text.labels.iter().chain(&text.annotations);
    values.any(|(_, value)| {
        let has = |sign: &str| {
            let mut pairs = GRAFANA.iter();
            pairs.all(|(name, wanted)| {
                let parts = value.split(['\n', ',']);
                let mut parts = parts.map(|part| part.trim_start_matches([' ', '-']).trim_end());
                let wanted = format!("{name}{sign}{wanted}");
                parts.any(|part| part == wanted) && value.matches(name).count() == 1
            })
        };
        has(" = ") || has(":")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use smol_str::SmolStr;

    fn text(summary: &str, labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> AlertText {
        let pairs = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            pairs
                .map(|(name, value)| (SmolStr::new(name), SmolStr::new(value)))
                .collect()
        };
        AlertText {
            summary: summary.into(),
            labels: pairs(labels),
            annotations: pairs(annotations),
            ..AlertText::default()
        }
    }

    #[test]
    fn known_tests_are_recognised_and_their_likes_are_not() {
        let kuma = [("source", KUMA_SOURCE)];
        let prose =
            "\nLabels:\n - alertname = TestAlert\n - instance = Grafana\nAnnotations:\n - x = y";
        for (key, text, expected) in [
            ("k", text("s", &GRAFANA, &[]), true),
            ("k", text("s", &[GRAFANA[0]], &[]), false),
            ("k", text("s", &[], &[("firing", prose)]), true),
            (
                "k",
                text(
                    "s",
                    &[("tags", "alertname:TestAlert, instance:Grafana")],
                    &[],
                ),
                true,
            ),
            (
                "k",
                text("s", &[], &[("firing", &format!("{prose}{prose}"))]),
                false,
            ),
            (
                "k",
                text("s", &[], &[("firing", "alertname = TestAlert")]),
                false,
            ),
            (
                "k",
                text("[Uptime Kuma Alert] [undefined] w Testing", &kuma, &[]),
                true,
            ),
            (
                "k",
                text("certificate will expire in 7 days", &kuma, &[]),
                false,
            ),
            (KUMA_ALIAS, text("w Testing", &[], &[]), true),
            (
                KUMA_ALIAS,
                text("certificate will expire in 7 days", &[], &[]),
                false,
            ),
            ("k", text(DYNATRACE, &[], &[]), true),
            ("k", text("shop Testing", &[], &[]), false),
        ] {
            assert_eq!(is_test(key, &text), expected, "{text:?}");
        }
    }
}
