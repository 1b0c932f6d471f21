//! What the surroundings of the process say: its environment variables.
//!
//! The only reader of the environment. Tests pass a fixed set instead. Must not be reached for globally: whoever
//! needs a variable is handed an [`Env`].

use std::collections::BTreeMap;

/// Environment variables, of the process or given.
#[derive(Clone, Debug)]
pub struct Env(Variables);

#[derive(Clone, Debug)]
enum Variables {
    Process,
    Fixed(BTreeMap<String, String>),
}

impl Env {
    /// The real environment of this process, read at each question.
    pub fn process() -> Self {
        Self(Variables::Process)
    }

    /// Exactly these variables, for tests.
    pub fn fixed<const N: usize>(variables: [(&str, &str); N]) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self(Variables::Fixed(variables.into_iter().map(owned).collect()))
    }

    /// The value of one variable; `None` when it is not set or not UTF-8.
    pub fn get(&self, name: &str) -> Option<String> {
        match &self.0 {
            Variables::Process => process_variable(name),
            Variables::Fixed(variables) => variables.get(name).cloned(),
        }
    }

    /// The first folder of `$STATE_DIRECTORY`, which systemd sets for `StateDirectory=`.
    pub fn state_directory(&self) -> Option<String> {
        let value = self.get("STATE_DIRECTORY")?;
        let first = value.split(':').next().unwrap_or_default();
        (!first.is_empty()).then(|| first.to_owned())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the environment"
)]
fn process_variable(name: &str) -> Option<String> {
    // A name with '=' or NUL can never be set; std would panic on some of them.
    if name.is_empty() || name.contains(['=', '\0']) {
        return None;
    }
    std::env::var(name).ok()
}
