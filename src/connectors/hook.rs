//! What a platform's webhook says: which ticket may have changed, and whether it may be believed.
//!
//! A hook is a hint only; the ticket is read afterwards. Must not compare a secret: that is done at the door, in
//! constant time, by what this says.

use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use smol_str::SmolStr;

use super::compile::Compiler;
use super::judge::short;
use super::text::{Rule, value_of};

/// How a hook is signed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signature {
    /// The secret itself stands in a header.
    Header,
    /// HMAC with SHA-256 of the body, in hexadecimal digits.
    HmacSha256,
    /// HMAC with SHA-1 of the body, in hexadecimal digits.
    HmacSha1,
    /// HMAC with SHA-256 of the body followed by the time in another header.
    HmacSha256Time,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HookFile {
    signature: Signature,
    header: String,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    time_header: String,
    ids: String,
    #[serde(default)]
    challenge: Option<String>,
    #[serde(default)]
    delivery: Option<String>,
}

/// How a platform's hooks are read.
#[derive(Debug)]
pub struct Hook {
    /// How they are signed.
    pub signature: Signature,
    /// The header with the signature, in lower case.
    pub header: String,
    /// What stands before the digits.
    pub prefix: String,
    /// The header with the time that is signed too, in lower case.
    pub time_header: String,
    /// The header with the delivery's id, in lower case.
    pub delivery: Option<String>,
    ids: Rule,
    challenge: Option<Rule>,
}

/// What a hook says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// These tickets may have changed, by id or number.
    Touched(Vec<SmolStr>),
    /// The platform wants this back, to see that the address is ours.
    Reply(String),
    /// It is not understood.
    Unclear,
}

impl Hook {
    pub(super) fn compile(file: HookFile, compiler: &Compiler<'_>) -> Result<Self, String> {
        let challenge = file.challenge.as_ref();
        let challenge = challenge.map(|rule| compiler.rule("hook.challenge", rule));
        Ok(Self {
            signature: file.signature,
            header: file.header.to_ascii_lowercase(),
            prefix: file.prefix,
            time_header: file.time_header.to_ascii_lowercase(),
            delivery: file.delivery.map(|name| name.to_ascii_lowercase()),
            ids: compiler.rule("hook.ids", &file.ids)?,
            challenge: challenge.transpose()?,
        })
    }

    /// Reads a body.
    pub fn read(&self, body: &[u8]) -> Told {
        let Ok(body) = serde_json::from_slice::<Json>(body) else {
            return Told::Unclear;
        };
        let mut values = Map::new();
        values.insert("body".to_owned(), body);
        values.insert("set".to_owned(), json!({}));
        let values = value_of(&values);
        let challenge = self.challenge.as_ref();
        if let Some(Some(text)) = challenge.and_then(|rule| rule.json(&values).ok())
            && !text.is_null()
        {
            return Told::Reply(text.to_string());
        }
        match self.ids.json(&values) {
            Ok(Some(Json::Array(ids))) => {
                let ids = ids.iter().map(super::text::show);
                Told::Touched(ids.map(|id| short(&id)).collect())
            }
            Ok(Some(id)) => Told::Touched(vec![short(&super::text::show(&id))]),
            Ok(None) | Err(_) => Told::Unclear,
        }
    }
}
