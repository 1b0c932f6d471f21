//! Topic filters as operators write them: `+name` captures one level of a topic as a label, `#` takes the rest.
//!
//! On the wire a name is left out (`+site` is `+`). Source: OASIS MQTT 3.1.1 and 5.0, section 4.7. Must not know what a
//! topic is about.

use smol_str::SmolStr;

/// Bytes of a filter, as of any text in MQTT.
pub const FILTER_BYTES_MAX: usize = 65_535;
/// Bytes of a capture's name.
const NAME_BYTES_MAX: usize = 64;

/// A filter with the quality of service that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// What is subscribed.
    pub filter: Filter,
    /// The highest quality: 0, 1 or 2.
    pub qos: u8,
}

/// A checked filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    written: String,
    wire: String,
    levels: Vec<Level>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Level {
    Exact(SmolStr),
    /// One level, with the label that it becomes.
    One(Option<SmolStr>),
    /// All that is left, and also nothing.
    Rest,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(written: &str) -> Result<Self, String> {
        if written.is_empty() {
            return Err("is empty".to_owned());
        }
        if written.len() > FILTER_BYTES_MAX || written.contains('\0') {
            return Err("is longer than 65535 bytes, or holds a NUL".to_owned());
        }
        if written.starts_with("$share/") {
            return Err("is a shared subscription already; write the filter alone, and shared_group beside it".to_owned());
        }
        let mut levels: Vec<Level> = Vec::new();
        for text in written.split('/') {
            if levels.last() == Some(&Level::Rest) {
                return Err("has something after `#`, which can only stand at the end".to_owned());
            }
            let level = level(text)?;
            if let Level::One(Some(name)) = &level
                && levels
                    .iter()
                    .any(|known| *known == Level::One(Some(name.clone())))
            {
                return Err(format!("captures {name:?} twice"));
            }
            levels.push(level);
        }
        let parts = levels.iter().map(|level| match level {
            Level::Exact(text) => text.as_str(),
            Level::One(_) => "+",
            Level::Rest => "#",
        });
        Ok(Self {
            written: written.to_owned(),
            wire: parts.collect::<Vec<_>>().join("/"),
            levels,
        })
    }

    /// As the operator wrote it.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// As the broker is given it.
    pub fn wire(&self) -> &str {
        &self.wire
    }

    /// The named levels of a topic that the filter takes; `None` when it does not take it.
    pub fn captures(&self, topic: &str) -> Option<Vec<(SmolStr, SmolStr)>> {
        // Topics of the broker's own are only taken by filters that name them (4.7.2).
        if topic.starts_with('$') && !matches!(self.levels.first(), Some(Level::Exact(_))) {
            return None;
        }
        let mut captures = Vec::new();
        let mut texts = topic.split('/');
        for level in &self.levels {
            match (level, texts.next()) {
                (Level::Rest, _) => return Some(captures),
                (_, None) => return None,
                (Level::Exact(wanted), Some(text)) if wanted != text => return None,
                (Level::Exact(_) | Level::One(None), Some(_)) => {}
                (Level::One(Some(name)), Some(text)) => {
                    captures.push((name.clone(), SmolStr::new(text)));
                }
            }
        }
        texts.next().is_none().then_some(captures)
    }
}

fn level(text: &str) -> Result<Level, String> {
    if text == "#" {
        return Ok(Level::Rest);
    }
    let Some(name) = text.strip_prefix('+') else {
        return if text.contains(['+', '#']) {
            Err(format!(
                "has {text:?}: `+` and `#` stand for whole levels, between slashes"
            ))
        } else {
            Ok(Level::Exact(SmolStr::new(text)))
        };
    };
    if name.is_empty() {
        return Ok(Level::One(None));
    }
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let is_plain = name.chars().all(is_name) && !name.starts_with(|c: char| c.is_ascii_digit());
    if is_plain && name.len() <= NAME_BYTES_MAX {
        Ok(Level::One(Some(SmolStr::new(name))))
    } else {
        Err(format!(
            "has {text:?}: a capture is `+` and a name of letters, digits and _, at most 64, no digit first"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, proptest};

    fn captures(filter: &str, topic: &str) -> Option<Vec<(String, String)>> {
        let filter = Filter::parse(filter).unwrap();
        let pairs = filter.captures(topic)?.into_iter();
        Some(
            pairs
                .map(|(name, text)| (name.to_string(), text.to_string()))
                .collect(),
        )
    }

    #[test]
    fn names_are_left_out_on_the_wire_and_capture_levels() {
        let filter = Filter::parse("site/+site/device/+device/alarm").unwrap();
        assert_eq!(filter.wire(), "site/+/device/+/alarm");
        let got = captures(filter.written(), "site/fra/device/a b/alarm").unwrap();
        let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        assert_eq!(got, [pair("site", "fra"), pair("device", "a b")]);
        assert_eq!(captures(filter.written(), "site/fra/device/x"), None);
        assert_eq!(
            captures(filter.written(), "site/fra/device/x/alarm/y"),
            None
        );
    }

    #[test]
    fn wildcards_take_what_the_standard_says() {
        for (filter, topic, takes) in [
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/#", "ab", false),
            ("#", "a/b", true),
            ("#", "$SYS/x", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/#", "$SYS/x", true),
            ("+", "", true),
            ("+", "/", false),
            ("/+", "/a", true),
            ("a/+", "a/", true),
            ("ä/+x", "ä/ö", true),
        ] {
            assert_eq!(captures(filter, topic).is_some(), takes, "{filter} {topic}");
        }
    }

    #[test]
    fn wrong_filters_are_refused() {
        for wrong in [
            "",
            "a/#/b",
            "a+/b",
            "a/b#",
            "+a-b",
            "+1",
            "+x/+x",
            "$share/g/a",
            "a\0",
        ] {
            assert!(Filter::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(filter in any::<String>(), topic in any::<String>()) {
            if let Ok(filter) = Filter::parse(&filter) {
                drop(filter.captures(&topic));
                prop_assert!(Filter::parse(filter.wire()).is_ok());
            }
        }

        #[test]
        fn levels_of_wildcards_never_panic(filter in "[+#a/$]{0,12}", topic in "[a/$]{0,12}") {
            if let Ok(filter) = Filter::parse(&filter) {
                drop(filter.captures(&topic));
            }
        }
    }
}
