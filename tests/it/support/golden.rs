//! Texts that are compared with files under `tests/golden`. Must not be regenerated unread: look at the difference.

use std::fs::{read_to_string, write};
use std::path::Path;

/// Compares with the file; with `WATCHBELL_GOLDEN=write` in the environment it writes the file instead.
pub(crate) fn equals(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    #[expect(
        clippy::disallowed_methods,
        reason = "a switch for people at work, not configuration"
    )]
    let is_written = std::env::var("WATCHBELL_GOLDEN").is_ok_and(|value| value == "write");
    if is_written {
        write(&path, text).unwrap();
        return;
    }
    let expected = read_to_string(&path).unwrap_or_default();
    let (mut old, mut new) = (expected.lines(), text.lines());
    for number in 1.. {
        let (old, new) = (old.next(), new.next());
        assert_eq!(
            new, old,
            "line {number} of {name} (left: now, right: file); if this is meant, run the test again with \
             WATCHBELL_GOLDEN=write and read the difference"
        );
        if new.is_none() {
            return;
        }
    }
}
