//! Reads `auth` of a connector: with what one logs in, by whatever name a platform gives it.
//!
//! Must not show a secret.

use std::collections::BTreeMap;

use crate::config::error::Complaint;
use crate::config::reader::TableReader;
use crate::config::secret::Secret;
use crate::config::values;
use crate::connectors::login::{Credential, Grant};

/// What one logs in with.
pub(super) struct Auth {
    /// Secrets by the names that profiles use.
    pub(super) secrets: BTreeMap<String, Secret>,
    /// Which of the ways it is.
    pub(super) credential: Credential,
    /// Where a token of OAuth is given, when that is not below the address.
    pub(super) token_url: Option<String>,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            secrets: BTreeMap::new(),
            credential: Credential::Nothing,
            token_url: None,
        }
    }
}

/// Names that platforms give to the same things.
const SAME: [(&str, &[&str]); 4] = [
    ("user", &["username", "login", "email"]),
    (
        "token",
        &[
            "api_token",
            "api_key",
            "apikey",
            "key",
            "pat",
            "bearer",
            "authtoken",
            "auth_token",
            "access_token",
            "user_token",
            "genie_key",
        ],
    ),
    ("client_secret", &["app_token"]),
    ("token_url", &["token_endpoint"]),
];

/// Reads it; `takes_token` says that a token beside a user is the user's password.
pub(super) fn auth_of(mut table: TableReader<'_>, takes_token: bool) -> Auth {
    for (key, others) in SAME {
        table.also(key, others);
    }
    // Which way it is follows from what is given.
    for key in ["kind", "type", "method"] {
        table.skip(key);
    }
    let mut secrets = BTreeMap::new();
    if let Some(user) = table.optional("user", values::user_name) {
        secrets.insert("user".to_owned(), Secret::new(user));
    }
    let mut has = Vec::new();
    for key in [
        "password",
        "token",
        "client_id",
        "client_secret",
        "refresh_token",
    ] {
        // What cannot be read is told of once.
        has.extend(table.has(key).then_some(key));
        if let Some(secret) = table.optional(key, values::remote_secret) {
            secrets.insert(key.to_owned(), secret);
        }
    }
    let has = |key: &str| has.contains(&key) || (key == "user" && table.has("user"));
    let is_password = takes_token && has("user") && has("token") && !has("password");
    if is_password && let Some(token) = secrets.remove("token") {
        secrets.insert("password".to_owned(), token);
    }
    let credential = if has("client_id") {
        Credential::Oauth(if has("refresh_token") {
            Grant::Refresh
        } else if has("user") && has("password") {
            Grant::Password
        } else {
            Grant::Client
        })
    } else if has("user") && (has("password") || is_password) {
        Credential::Basic
    } else if has("token") {
        Credential::Token
    } else {
        let hint = "write { user, password }, { token } or { client_id, client_secret }";
        table.refuse(None, Complaint::new("this is no login").hint(hint));
        Credential::Nothing
    };
    let token_url = table.optional("token_url", values::http_url);
    table.finish();
    Auth {
        secrets,
        credential,
        token_url,
    }
}
