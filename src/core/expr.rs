//! Conditions and texts that an operator writes, as Jinja expressions: compiled at load, bounded when they run.
//!
//! A missing field is undefined, not an error; an evaluation that fails counts as false or as no text. Must not give an
//! expression anything but the values it is called with: no loader, no clock, no randomness.

use std::fmt;
use std::sync::LazyLock;

pub use minijinja::Value;
use minijinja::{Environment, ErrorKind, Expression, UndefinedBehavior};

/// Bytes of one expression.
const SOURCE_BYTES_MAX: usize = 4 * 1024;
/// Bytes of a text that comes out; longer ones are cut at a character.
const TEXT_BYTES_MAX: usize = 1024;
/// Steps of one evaluation; an expression has no loops.
const FUEL: u64 = 10_000;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_fuel(Some(FUEL));
    environment
});

/// A compiled expression; two are equal when their texts are.
pub struct Expr {
    source: Box<str>,
    variables: Box<[String]>,
    inner: Expression<'static, 'static>,
}

impl Expr {
    /// Compiles an expression that may use these variables.
    ///
    /// # Errors
    /// It is too long, is no expression, or uses another variable; the text says which and what to do.
    pub fn compile(source: &str, variables: &[&str]) -> Result<Self, String> {
        if source.len() > SOURCE_BYTES_MAX {
            return Err(format!("is longer than {SOURCE_BYTES_MAX} bytes"));
        }
        let inner = ENVIRONMENT
            .compile_expression_owned(source.to_owned())
            .map_err(|error| format!("is not a Jinja expression: {error}"))?;
        let mut used: Vec<String> = inner.undeclared_variables(false).into_iter().collect();
        used.sort_unstable();
        let unknown = used.iter();
        let unknown = unknown.filter(|name| !variables.contains(&name.as_str()));
        if let Some(name) = unknown.min() {
            let known = variables.join(", ");
            return Err(format!(
                "`{name}` is not a variable; known here: {known}; a text needs quotes inside, like '{name}'"
            ));
        }
        Ok(Self {
            source: source.into(),
            variables: used.into(),
            inner,
        })
    }

    /// The variables that it looks at, sorted.
    pub fn variables(&self) -> &[String] {
        &self.variables
    }

    /// Tries it with these values.
    ///
    /// # Errors
    /// It uses a filter, test, function or method that does not exist, whatever the values are.
    pub fn probe(&self, values: &Value) -> Result<(), String> {
        let Err(error) = self.inner.eval(values) else {
            return Ok(());
        };
        let is_unknown = matches!(
            error.kind(),
            ErrorKind::UnknownFilter
                | ErrorKind::UnknownTest
                | ErrorKind::UnknownFunction
                | ErrorKind::UnknownMethod
        );
        if is_unknown {
            return Err(format!("cannot be evaluated: {error}"));
        }
        Ok(())
    }

    /// The expression as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it is true of these values.
    ///
    /// # Errors
    /// It cannot be evaluated; count it as false.
    pub fn is_true(&self, values: &Value) -> Result<bool, String> {
        let value = self.inner.eval(values).map_err(|error| error.to_string())?;
        Ok(value.is_true())
    }

    /// The text that it gives; empty texts and missing values are none.
    ///
    /// # Errors
    /// It cannot be evaluated; count it as no text.
    pub fn text(&self, values: &Value) -> Result<Option<String>, String> {
        let value = self.inner.eval(values).map_err(|error| error.to_string())?;
        if value.is_undefined() || value.is_none() {
            return Ok(None);
        }
        let mut text = value.to_string();
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        Ok(Some(text).filter(|text| !text.trim().is_empty()))
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expr").field(&self.source).finish()
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Expr {}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::context;

    #[test]
    fn expressions_are_checked_at_load_and_forgiving_later() {
        let variables = ["labels"];
        assert!(Expr::compile("labels.", &variables).is_err());
        let unknown = Expr::compile("lables.x", &variables).unwrap_err();
        assert!(unknown.contains("lables"), "{unknown}");
        let expr = Expr::compile("labels.a.b.c or labels.host | upper", &variables).unwrap();
        let values = context! { labels => context! { host => "vm1" } };
        assert_eq!(expr.text(&values).unwrap().as_deref(), Some("VM1"));
        assert_eq!(expr.text(&context! {}).unwrap(), None);
    }
}
