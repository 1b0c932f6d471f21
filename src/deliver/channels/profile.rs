//! Targets that are only HTTP: a profile says what is sent, as templates.
//!
//! The bodies are JSON or a form made of templates over the values of `deliver::text`. Must not show a secret.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use minijinja::Value as Jinja;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use url::Url;

use crate::deliver::text::{self, TextSetup};
use crate::deliver::{Attempt, Failure, Outcome, Parcel, Trace};
use crate::wire::post::{Outgoing, Poster, Reply};

use super::http;

/// What a profile says.
#[derive(Clone, Debug)]
pub struct ProfileSetup {
    /// The method.
    pub method: Method,
    /// The address, as a template.
    pub url: String,
    /// Whether the address holds a key.
    pub is_url_secret: bool,
    /// Headers, as templates; an empty one is left out.
    pub headers: BTreeMap<String, String>,
    /// Whether user and password are sent as basic authentication.
    pub is_basic: bool,
    /// The body as JSON, as a template.
    pub body: Option<String>,
    /// The body as a form, as templates.
    pub form: BTreeMap<String, String>,
    /// When a 2xx is a failure all the same: an expression over `answer` and `body`.
    pub failed: Option<String>,
    /// The operator's values: url, token, user, password, from, to.
    pub values: BTreeMap<&'static str, String>,
    /// Headers of the operator.
    pub more_headers: HeaderMap,
    /// Texts.
    pub text: TextSetup,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// The way out.
    pub poster: Poster,
}

/// A target by a profile.
#[derive(Clone, Debug)]
pub struct Profile {
    setup: ProfileSetup,
}

impl Profile {
    /// A target by a profile.
    pub fn new(setup: ProfileSetup) -> Self {
        Self { setup }
    }

    pub(in crate::deliver) async fn send(&self, parcel: &Parcel) -> Attempt {
        match self.request(parcel) {
            Ok((outgoing, shown)) => {
                let failed = |reply: &Reply| self.judge(reply);
                let sent = http::send(
                    &self.setup.poster,
                    outgoing,
                    self.setup.timeout,
                    &shown,
                    failed,
                );
                let mut attempt = sent.await;
                self.mask(&mut attempt);
                attempt
            }
            Err(error) => Attempt {
                outcome: Outcome::Failed(Failure {
                    error,
                    is_final: true,
                    is_own_fault: true,
                    ..Failure::default()
                }),
                status: None,
                trace: Trace::default(),
            },
        }
    }

    /// Takes what is secret out of what is shown, wherever it stands.
    fn mask(&self, attempt: &mut Attempt) {
        for name in ["token", "password"] {
            if let Some(secret) = self.setup.values.get(name).filter(|it| it.len() > 3) {
                attempt.trace.request = attempt.trace.request.replace(secret, "***");
                attempt.trace.response = attempt.trace.response.replace(secret, "***");
                if let Outcome::Failed(failure) = &mut attempt.outcome {
                    failure.error = failure.error.replace(secret, "***");
                }
            }
        }
    }

    fn request(&self, parcel: &Parcel) -> Result<(Outgoing, String), String> {
        let setup = &self.setup;
        let mut values = setup.text.words(parcel).values;
        for (name, value) in &setup.values {
            let is_named = *name == "to" && !parcel.recipient.is_empty();
            if !is_named {
                text::set(&mut values, name, json!(value));
            }
        }
        let values = text::jinja(&values);
        let url = text::render(&setup.url, &values)?;
        let url =
            Url::parse(url.trim()).map_err(|error| format!("its address is none: {error}"))?;
        let mut headers = setup.more_headers.clone();
        for (name, template) in &setup.headers {
            let value = text::render(template, &values)?;
            if value.is_empty() {
                continue;
            }
            put(&mut headers, name, &value)?;
        }
        if let (true, Some(user), Some(password)) = (
            setup.is_basic,
            setup.values.get("user"),
            setup.values.get("password"),
        ) {
            let basic = STANDARD.encode(format!("{user}:{password}"));
            put(
                &mut headers,
                AUTHORIZATION.as_str(),
                &format!("Basic {basic}"),
            )?;
        }
        let (kind, body) = self.body(&values)?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        let shown = http::show_url(&url, setup.is_url_secret);
        let outgoing = Outgoing {
            method: setup.method.clone(),
            url,
            headers,
            body: Bytes::from(body),
        };
        Ok((outgoing, shown))
    }

    fn body(&self, values: &Jinja) -> Result<(&'static str, String), String> {
        if let Some(template) = &self.setup.body {
            let body = text::render(template, values)?;
            let body: Value = serde_json::from_str(&body)
                .map_err(|error| format!("the message could not be made: {error}"))?;
            return Ok(("application/json", body.to_string()));
        }
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        for (name, template) in &self.setup.form {
            form.append_pair(name, &text::render(template, values)?);
        }
        Ok(("application/x-www-form-urlencoded", form.finish()))
    }

    /// What is wrong with a 2xx, if anything.
    fn judge(&self, reply: &Reply) -> Option<Failure> {
        let expression = self.setup.failed.as_deref()?;
        let answer: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
        let body = String::from_utf8_lossy(&reply.body);
        let values = text::jinja(&json!({ "answer": answer, "body": body }));
        match text::is_true(expression, &values) {
            Ok(true) => Some(Failure {
                error: format!(
                    "it answered {} but refused{}",
                    reply.status,
                    http::said(&reply.body)
                ),
                is_final: false,
                is_own_fault: true,
                ..Failure::default()
            }),
            Ok(false) | Err(_) => None,
        }
    }
}

fn put(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), String> {
    let mut value = HeaderValue::try_from(value)
        .map_err(|_| format!("the header {name} has characters that a header cannot carry"))?;
    value.set_sensitive(true);
    let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
    headers.insert(name, value);
    Ok(())
}
