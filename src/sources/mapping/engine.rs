//! One expression of a mapping: checked when it is compiled, bounded when it runs.
//!
//! An expression has no loops, so its length bounds its steps; fuel is the second line. What it may call is in
//! `filters`, what it may grow is counted before it is compiled. Must not give an expression anything but its scope.

use std::fmt;
use std::sync::{Arc, LazyLock};

use minijinja::value::{Enumerator, Object, Value};
use minijinja::{Environment, Error, ErrorKind, Expression, UndefinedBehavior};
use smol_str::SmolStr;

use crate::sources::mapping::value::{Budget, shown};
use crate::sources::mapping::{filters, scan};

/// Bytes of one expression.
pub const SOURCE_BYTES_MAX: usize = 4 * 1024;
/// Steps of one evaluation.
const FUEL: u64 = 10_000;
/// The variables of a mapping.
pub const VARIABLES: [&str; 6] = ["payload", "item", "labels", "topic", "headers", "query"];

static LENIENT: LazyLock<Environment<'static>> =
    LazyLock::new(|| environment(UndefinedBehavior::Chainable));
static STRICT: LazyLock<Environment<'static>> =
    LazyLock::new(|| environment(UndefinedBehavior::SemiStrict));

fn environment(undefined: UndefinedBehavior) -> Environment<'static> {
    let mut env = Environment::empty();
    filters::install(&mut env);
    env.set_undefined_behavior(undefined);
    env.set_fuel(Some(FUEL));
    env
}

/// What happens when an expression joins or looks into something that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It counts as empty.
    Empty,
    /// The evaluation fails, so that two alerts never share a key for want of a part.
    Failure,
}

/// What is wrong with an expression, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExprError {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// A compiled expression.
pub struct Expr {
    source: Box<str>,
    inner: Expression<'static, 'static>,
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expr").field(&self.source).finish()
    }
}

impl Expr {
    /// Compiles and checks an expression that may read the variables, and those of the mapping's `own`.
    ///
    /// # Errors
    /// It is too long, is no expression, uses what is not there, or could grow without bound.
    pub fn compile(source: &str, missing: Missing, own: &[String]) -> Result<Self, ExprError> {
        scan::check(source)?;
        let env = match missing {
            Missing::Empty => &*LENIENT,
            Missing::Failure => &*STRICT,
        };
        let inner = env
            .compile_expression_owned(source.to_owned())
            .map_err(|error| ExprError {
                message: format!("is not an expression: {}", cause(&error)),
                hint: "write a Jinja expression without {{ }}, texts in quotes inside".to_owned(),
            })?;
        let expr = Self {
            source: source.into(),
            inner,
        };
        expr.check_variables(own)?;
        expr.check_calls()?;
        Ok(expr)
    }

    fn check_variables(&self, own: &[String]) -> Result<(), ExprError> {
        let unknown = self.inner.undeclared_variables(false).into_iter();
        let unknown =
            unknown.filter(|name| !VARIABLES.contains(&name.as_str()) && !own.contains(name));
        let Some(name) = unknown.min() else {
            return Ok(());
        };
        Err(ExprError {
            message: format!("`{name}` is not a variable"),
            hint: format!(
                "known here: {}; a text needs quotes inside, like '{name}'",
                VARIABLES.join(", ")
            ),
        })
    }

    /// Runs it once on nothing, which shows calls that can never work.
    fn check_calls(&self) -> Result<(), ExprError> {
        match self.inner.eval(Scope::nothing()) {
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::MissingArgument
                        | ErrorKind::TooManyArguments
                        | ErrorKind::UnknownFilter
                        | ErrorKind::UnknownTest
                        | ErrorKind::UnknownFunction
                        | ErrorKind::UnknownMethod
                ) =>
            {
                Err(ExprError {
                    message: format!("cannot work: {}", cause(&error)),
                    hint: "check what the filter takes".to_owned(),
                })
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Evaluates; the error is a cause for people.
    ///
    /// # Errors
    /// It cannot be computed from these values, or the message has used up its work.
    pub fn eval(&self, scope: &Scope) -> Result<Value, String> {
        let result = self.inner.eval(scope.root.clone());
        scope.budget.charge(
            result
                .as_ref()
                .map_or(1, |value| value.as_str().map_or(1, str::len)),
        );
        if scope.budget.is_spent() {
            return Err("the message needs more work than its size allows".to_owned());
        }
        result.map_err(|error| cause(&error))
    }

    /// The text of the expression.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The dotted paths that it reads, sorted.
    pub fn inputs(&self) -> Vec<String> {
        let mut paths: Vec<String> = self.inner.undeclared_variables(true).into_iter().collect();
        paths.sort();
        paths
    }
}

fn cause(error: &Error) -> String {
    match (error.kind(), error.detail()) {
        (ErrorKind::UndefinedError, _) => "something that it needs is missing".to_owned(),
        (ErrorKind::OutOfFuel, _) => "it takes too many steps".to_owned(),
        (kind, None) => kind.to_string(),
        (_, Some(detail)) => detail.to_owned(),
    }
}

/// What an expression sees.
#[derive(Clone, Debug)]
pub struct Scope {
    root: Value,
    budget: Arc<Budget>,
}

/// The variables by name.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    /// The message.
    pub payload: Value,
    /// One alert of it.
    pub item: Value,
    /// What a topic or path template captured.
    pub labels: Value,
    /// The topic, or undefined.
    pub topic: Value,
    /// Headers by lower-case name.
    pub headers: Value,
    /// Query parameters by name.
    pub query: Value,
    /// The mapping's own variables.
    pub own: Vec<(SmolStr, Value)>,
}

impl Object for Variables {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            "payload" => Some(self.payload.clone()),
            "item" => Some(self.item.clone()),
            "labels" => Some(self.labels.clone()),
            "topic" => Some(self.topic.clone()),
            "headers" => Some(self.headers.clone()),
            "query" => Some(self.query.clone()),
            _ => {
                let own = self.own.iter().find(|(name, _)| name == key);
                own.map(|(_, value)| value.clone())
            }
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&VARIABLES)
    }
}

impl Scope {
    /// A scope of these variables.
    pub fn new(variables: Variables, budget: &Arc<Budget>) -> Self {
        Self {
            root: Value::from_object(variables),
            budget: Arc::clone(budget),
        }
    }

    fn nothing() -> Value {
        Value::from_object(Variables::default())
    }

    /// What a dotted path leads to, as text of at most `bytes_max`; `None` when it leads to nothing.
    pub fn show(&self, path: &str, bytes_max: usize) -> Option<String> {
        let value = filters::at_path(&self.root, path);
        (!super::value::is_missing(&value)).then(|| shown(&value, bytes_max))
    }
}
