//! Alertmanager's identity of a label set.
//!
//! FNV-1a of 64 bits over the labels in byte order of their names, as `prometheus/common` (`model/signature.go`)
//! computes it. Must not be used on labels that were cut, since they are no longer what the sender hashed.

use std::hash::Hasher;

use fnv::FnvHasher;
use smol_str::{SmolStr, StrExt, format_smolstr};

/// Ends a name and a value; no UTF-8 text holds this byte.
const SEPARATOR: &[u8] = &[0xff];
/// Hex digits of a fingerprint.
const DIGITS: usize = 16;

/// The fingerprint of labels in any order: 16 lower-case hex digits.
///
/// Labels without a value do not count, as in Alertmanager; of equal names the last one counts.
pub fn of_labels<'a, I>(labels: I) -> SmolStr
where
    I: IntoIterator<Item = (&'a str, &'a str)>,
    I::IntoIter: DoubleEndedIterator,
{
    let mut sorted: Vec<(&str, &str)> = labels.into_iter().rev().collect();
    sorted.sort_by_key(|&(name, _)| name);
    sorted.dedup_by_key(|&mut (name, _)| name);
    let mut hasher = FnvHasher::default();
    for (name, value) in sorted {
        if !value.is_empty() {
            hasher.write(name.as_bytes());
            hasher.write(SEPARATOR);
            hasher.write(value.as_bytes());
            hasher.write(SEPARATOR);
        }
    }
    format_smolstr!("{:016x}", hasher.finish())
}

/// Takes a fingerprint as sent, in lower case; `None` when it is not 16 hex digits.
pub fn from_text(text: &str) -> Option<SmolStr> {
    let is_fingerprint = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_fingerprint.then(|| text.to_ascii_lowercase_smolstr())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors_hold() {
        for (of, expected) in [
            (&[][..], "cbf29ce484222325"),
            (
                &[
                    ("severity", "critical"),
                    ("instance", "db1:9100"),
                    ("alertname", "DiskFull"),
                ],
                "efb0c6c488e007da",
            ),
            (
                &[("alertname", "Watchdog"), ("severity", "none")],
                "448881ef475b9b26",
            ),
            (
                &[("a.b", "x y"), ("alertname", "Ünïcode")],
                "9efbe6d8c186e9da",
            ),
        ] {
            assert_eq!(of_labels(of.iter().copied()), expected);
        }
    }

    #[test]
    fn empty_values_do_not_count_and_the_last_of_equal_names_does() {
        let plain = of_labels([("a", "1")]);
        assert_eq!(of_labels([("b", ""), ("a", "1")]), plain);
        assert_eq!(of_labels([("a", "2"), ("a", "1")]), plain);
        assert_ne!(of_labels([("a", "1"), ("a", "2")]), plain);
    }

    #[test]
    fn only_16_hex_digits_are_a_fingerprint() {
        assert_eq!(from_text("EFB0C6C488E007DA").unwrap(), "efb0c6c488e007da");
        for text in [
            "",
            "efb0c6c488e007d",
            "efb0c6c488e007dag",
            "zfb0c6c488e007da",
        ] {
            assert_eq!(from_text(text), None);
        }
    }
}
