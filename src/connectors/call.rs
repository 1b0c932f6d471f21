//! One request of a profile, and how its answer is read.

use std::collections::BTreeMap;

use minijinja::Value;
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use smol_str::SmolStr;

use super::compile::{Compiler, tree};
use super::file::put_below;
use super::profile::Profile;
use super::text::{Rule, Text, Tree, merge, show};
use super::{Body, Request};

/// A request as it stands in a file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CallFile {
    method: Option<String>,
    path: Option<String>,
    #[serde(default)]
    query: BTreeMap<String, String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    encode: Option<Encode>,
    body: Option<Json>,
    #[serde(default)]
    form: BTreeMap<String, String>,
    ok: Option<String>,
    items: Option<String>,
    next: Option<String>,
    /// Whether the answer is read at all; some answer with no body.
    #[serde(default)]
    empty: bool,
    /// Whether it changes something there although what it is for only reads.
    #[serde(default)]
    writes: bool,
}

impl CallFile {
    /// Whether it says nothing but what its body is.
    pub(super) fn is_plain(&self) -> bool {
        self.method.is_none() && self.path.is_none()
    }

    /// Lays fields over its body.
    pub(super) fn lay_over(&mut self, below: &str, fields: &Map<String, Json>) {
        let body = self.body.get_or_insert_with(|| Json::Object(Map::new()));
        put_below(body, below, fields);
    }
}

/// How a body is written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Encode {
    /// As JSON.
    Json,
    /// As fields of a form.
    Form,
    /// As JSON in one field of a form.
    FormJson(String),
    /// As JSON in one field of the query.
    QueryJson(String),
    /// As JSON in one part of a multipart form.
    Multipart(String),
}

/// Names and values that are both texts with expressions.
fn named(
    place: &str,
    table: &BTreeMap<String, String>,
    compiler: &Compiler<'_>,
) -> Result<Vec<(Text, Text)>, String> {
    let texts = table.iter().map(|(name, value)| {
        let at = format!("{place}.{name}");
        Ok((compiler.text(&at, name)?, compiler.text(&at, value)?))
    });
    texts.collect()
}

/// A compiled request.
#[derive(Debug)]
pub struct Call {
    step: SmolStr,
    method: String,
    path: Text,
    query: Vec<(Text, Text)>,
    headers: Vec<(String, Text)>,
    encode: Encode,
    body: Option<Tree>,
    form: Vec<(String, Text)>,
    pub(super) ok: Option<Rule>,
    pub(super) items: Option<Rule>,
    pub(super) next: Option<Rule>,
    pub(super) is_empty: bool,
    source: CallFile,
}

impl Call {
    /// Its path as the file has it.
    pub(super) fn path(&self) -> &str {
        self.source.path.as_deref().unwrap_or_default()
    }

    /// Compiles a request; method and path that it does not say are those of another one.
    pub(super) fn compile(
        place: &str,
        mut file: CallFile,
        like: Option<&Self>,
        compiler: &Compiler<'_>,
    ) -> Result<Self, String> {
        if let Some(like) = like
            && file.is_plain()
        {
            let body = file.body.take();
            let ok = file.ok.take();
            let mut whole = like.source.clone();
            whole.body = body;
            whole.ok = ok.or(whole.ok);
            file = whole;
        }
        let source = file.clone();
        let at = |key: &str| format!("{place}.{key}");
        let texts = |key: &str, table: &BTreeMap<String, String>| {
            let texts = table.iter().map(|(name, value)| {
                let text = compiler.text(&at(&format!("{key}.{name}")), value)?;
                Ok((name.clone(), text))
            });
            texts.collect::<Result<Vec<_>, String>>()
        };
        let rule = |key: &str, rule: Option<&String>| {
            rule.map(|rule| compiler.rule(&at(key), rule)).transpose()
        };
        let method = file.method.as_deref().unwrap_or("GET").to_owned();
        if !["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method.as_str()) {
            return Err(format!("{}: {method:?} is no method", at("method")));
        }
        let path = file.path.as_ref();
        let path = path.ok_or_else(|| format!("{}: is required", at("path")))?;
        let first = place.split(['.', '[']).next().unwrap_or(place);
        Ok(Self {
            step: SmolStr::new(if first == "get" { "read" } else { first }),
            path: compiler.text(&at("path"), path)?,
            query: named(&at("query"), &file.query, compiler)?,
            headers: texts("headers", &file.headers)?,
            encode: file.encode.unwrap_or(Encode::Json),
            body: file
                .body
                .as_ref()
                .map(|body| tree(&at("body"), body, compiler))
                .transpose()?,
            form: texts("form", &file.form)?,
            ok: rule("ok", file.ok.as_ref())?,
            items: rule("items", file.items.as_ref())?,
            next: rule("next", file.next.as_ref())?,
            is_empty: file.empty,
            method,
            source,
        })
    }

    /// Its body with values; nothing when it has none or every value is missing.
    pub(super) fn body(&self, vars: &Value) -> Result<Option<Json>, String> {
        match &self.body {
            Some(body) => body.render(vars),
            None => Ok(None),
        }
    }

    /// Whether it changes something there: everything that is not asked by GET or under a name that only reads.
    fn is_write(&self) -> bool {
        let reads = [
            "find", "read", "notes", "changes", "lookup", "probe", "auth", "ci",
        ];
        self.method != "GET" && (self.source.writes || !reads.contains(&self.step.as_str()))
    }

    /// The request with values.
    ///
    /// # Errors
    /// A value cannot be computed.
    pub(super) fn request(
        &self,
        profile: &Profile,
        vars: &Value,
        body: Option<Json>,
    ) -> Result<Request, String> {
        let render = |texts: &[(String, Text)]| -> Result<Vec<(String, String)>, String> {
            let mut rendered = Vec::with_capacity(texts.len());
            for (name, text) in texts {
                if let Some(value) = text.text(vars)? {
                    rendered.push((name.clone(), value));
                }
            }
            Ok(rendered)
        };
        let mut headers = render(&profile.headers)?;
        headers.extend(render(&self.headers)?);
        let mut query = Vec::with_capacity(self.query.len());
        for (name, value) in &self.query {
            if let (Some(name), Some(value)) = (name.text(vars)?, value.text(vars)?) {
                query.push((name, value));
            }
        }
        let mut form = render(&self.form)?;
        let body = match (&self.encode, body) {
            (_, None) if form.is_empty() => Body::Empty,
            (_, None) => Body::Form(form),
            (Encode::Json, Some(body)) => Body::Json(body),
            (Encode::Form, Some(body)) => {
                if let Json::Object(fields) = body {
                    form.extend(
                        fields
                            .iter()
                            .map(|(name, value)| (name.clone(), show(value))),
                    );
                }
                Body::Form(form)
            }
            (Encode::FormJson(field), Some(body)) => {
                form.push((field.clone(), body.to_string()));
                Body::Form(form)
            }
            (Encode::QueryJson(field), Some(body)) => {
                query.push((field.clone(), body.to_string()));
                Body::Empty
            }
            (Encode::Multipart(part), Some(body)) => Body::Multipart(part.clone(), body),
        };
        Ok(Request {
            step: self.step.clone(),
            method: SmolStr::new(&self.method),
            path: self.path.path(vars)?,
            query,
            headers,
            body,
            is_write: self.is_write(),
        })
    }

    /// Lays the body of another request, sent in the same one, over a body.
    pub(super) fn merged(under: Option<Json>, over: Option<Json>) -> Option<Json> {
        match (under, over) {
            (Some(mut under), Some(over)) => {
                merge(&mut under, over);
                Some(under)
            }
            (under, over) => under.or(over),
        }
    }
}
