//! What an import says of a CI beyond the fields that have a meaning: texts by name.
//!
//! A sorted list: a CI has a handful, and a tree takes several times the memory for as many. Must not interpret any.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use smol_str::SmolStr;

/// Texts by name, each name once, in order of the names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes(Vec<(SmolStr, SmolStr)>);

impl Attributes {
    fn place(&self, name: &str) -> Result<usize, usize> {
        let by_name = |(other, _): &(SmolStr, SmolStr)| other.as_str().cmp(name);
        self.0.binary_search_by(by_name)
    }

    /// Keeps a text under a name; an earlier one of that name goes.
    pub fn insert(&mut self, name: SmolStr, text: SmolStr) {
        match self.place(&name) {
            Ok(at) => {
                if let Some((_, old)) = self.0.get_mut(at) {
                    *old = text;
                }
            }
            Err(at) => self.0.insert(at, (name, text)),
        }
    }

    /// The text of a name.
    pub fn get(&self, name: &str) -> Option<&SmolStr> {
        let at = self.place(name).ok()?;
        self.0.get(at).map(|(_, text)| text)
    }

    /// Whether there is one of that name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.place(name).is_ok()
    }

    /// Names and texts, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&SmolStr, &SmolStr)> {
        self.0.iter().map(|(name, text)| (name, text))
    }

    /// The names, in order.
    pub fn keys(&self) -> impl Iterator<Item = &SmolStr> {
        self.0.iter().map(|(name, _)| name)
    }

    /// The texts, by name, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut SmolStr> {
        self.0.iter_mut().map(|(_, text)| text)
    }

    /// Keeps those of which the names are wanted.
    pub fn retain(&mut self, is_wanted: impl Fn(&SmolStr) -> bool) {
        self.0.retain(|(name, _)| is_wanted(name));
    }

    /// Keeps the first so many.
    pub fn truncate(&mut self, count: usize) {
        self.0.truncate(count);
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(SmolStr, SmolStr)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (SmolStr, SmolStr)>>(pairs: I) -> Self {
        let mut all = Self::default();
        for (name, text) in pairs {
            all.insert(name, text);
        }
        all
    }
}

impl IntoIterator for Attributes {
    type Item = (SmolStr, SmolStr);
    type IntoIter = std::vec::IntoIter<(SmolStr, SmolStr)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Attributes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Attributes, M::Error> {
                let mut all = Attributes::default();
                while let Some((name, text)) = map.next_entry()? {
                    all.insert(name, text);
                }
                Ok(all)
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}
