//! How one logs in to a platform: headers with marks of secrets, and the request for a token where one is needed.
//!
//! Must not hold a secret; a token that was given stands in the way out.

use std::sync::Arc;

use super::judge::{Reply, judge};
use super::profile::{Profile, Way};
use super::vars::{TicketVars, secret_mark};
use super::{Answer, Body, Failure, Request};

/// What the operator has to log in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// User and password.
    Basic,
    /// A token or key.
    Token,
    /// A client of OAuth.
    Oauth(Grant),
    /// Nothing.
    Nothing,
}

/// By what a client of OAuth is given a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// By itself.
    Client,
    /// By a refresh token that a person was given.
    Refresh,
    /// By a user and a password.
    Password,
}

impl Grant {
    /// The word of the protocol, which profiles see as `grant`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Client => "client_credentials",
            Self::Refresh => "refresh_token",
            Self::Password => "password",
        }
    }
}

/// The login of one connector.
#[derive(Clone, Debug)]
pub struct Login {
    profile: Arc<Profile>,
    credential: Credential,
}

/// A token that was given for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The token.
    pub token: String,
    /// How many seconds it holds, if that is said.
    pub expires_s: Option<u64>,
}

impl Login {
    /// With what the operator has.
    ///
    /// # Errors
    /// The platform does not know that way.
    pub fn new(profile: &Arc<Profile>, credential: Credential) -> Result<Self, String> {
        let login = Self {
            profile: Arc::clone(profile),
            credential,
        };
        if login.way().is_none() && credential != Credential::Nothing {
            let ways = &profile.ways;
            let known = [
                ("{ user, password }", ways.basic.is_some()),
                ("{ token }", ways.token.is_some()),
                ("{ client_id, client_secret }", ways.oauth.is_some()),
            ];
            let known: Vec<_> = known.iter().filter(|(_, is_known)| *is_known).collect();
            let known: Vec<_> = known.iter().map(|(way, _)| *way).collect();
            return Err(format!(
                "profile {} does not log in that way; it knows {}",
                profile.name,
                known.join(", ")
            ));
        }
        Ok(login)
    }

    fn way(&self) -> Option<&Way> {
        let ways = &self.profile.ways;
        match self.credential {
            Credential::Basic => ways.basic.as_ref(),
            Credential::Token => ways.token.as_ref(),
            Credential::Oauth(_) => ways.oauth.as_ref(),
            Credential::Nothing => None,
        }
    }

    /// Whether a token must be asked for first.
    pub fn needs_session(&self) -> bool {
        matches!(self.way(), Some(Way::Oauth { .. } | Way::Login { .. }))
    }

    /// The headers of every request.
    ///
    /// # Errors
    /// A value cannot be computed.
    pub fn headers(&self) -> Result<Vec<(String, String)>, Failure> {
        let vars = TicketVars::new(&self.profile).value();
        let text = |text: &super::profile::Text2| text.0.text(&vars).map_err(Failure::Broken);
        Ok(match self.way() {
            Some(Way::Basic) => {
                let value = format!("Basic {}", secret_mark("basic"));
                vec![("Authorization".to_owned(), value)]
            }
            Some(Way::Header(name, value)) => {
                vec![(name.clone(), text(value)?.unwrap_or_default())]
            }
            Some(Way::Oauth { header, value, .. }) => {
                vec![(header.clone(), text(value)?.unwrap_or_default())]
            }
            Some(Way::Login { header, value, .. }) => {
                let value = match value {
                    Some(value) => text(value)?.unwrap_or_default(),
                    None => secret_mark("session"),
                };
                header
                    .iter()
                    .map(|name| (name.clone(), value.clone()))
                    .collect()
            }
            Some(Way::Body) | None => Vec::new(),
        })
    }

    /// The request for a token.
    ///
    /// # Errors
    /// A value cannot be computed.
    pub fn request(&self) -> Result<Option<Request>, Failure> {
        let mut vars = TicketVars::new(&self.profile);
        if let Credential::Oauth(grant) = self.credential {
            vars.put("grant", grant.word().into());
        }
        let vars = vars.value();
        match self.way() {
            Some(Way::Oauth { path, form, .. }) => {
                let mut fields = Vec::new();
                for (name, value) in form {
                    let value = value.0.text(&vars).map_err(Failure::Broken)?;
                    fields.extend(value.map(|value| (name.clone(), value)));
                }
                Ok(Some(Request {
                    step: "login".into(),
                    method: "POST".into(),
                    path: path.0.path(&vars).map_err(Failure::Broken)?,
                    query: Vec::new(),
                    headers: Vec::new(),
                    body: Body::Form(fields),
                    is_write: false,
                }))
            }
            Some(Way::Login { call, .. }) => {
                let body = call.body(&vars).map_err(Failure::Broken)?;
                let request = call.request(&self.profile, &vars, body);
                request.map(Some).map_err(Failure::Broken)
            }
            Some(Way::Basic | Way::Header(..) | Way::Body) | None => Ok(None),
        }
    }

    /// The token of an answer.
    ///
    /// # Errors
    /// It holds none.
    pub fn session(&self, answer: &Answer) -> Result<Session, Failure> {
        let vars = TicketVars::new(&self.profile);
        let reply = Reply::read(answer);
        let expires = reply.body.get("expires_in");
        let expires_s = expires.and_then(serde_json::Value::as_u64);
        let refused = || Failure::Login(format!("HTTP {}: no token was given", answer.status));
        let token = match self.way() {
            Some(Way::Login { call, token, .. }) => {
                judge(&self.profile, call, false, &reply, &vars).map_err(as_login)?;
                let values = reply.with(&vars, &serde_json::Map::new());
                token.0.text(&values).map_err(Failure::Broken)?
            }
            _ if !(200..300).contains(&answer.status) => None,
            _ => {
                let token = reply.body.get("access_token");
                token.and_then(serde_json::Value::as_str).map(str::to_owned)
            }
        };
        Ok(Session {
            token: token.ok_or_else(refused)?,
            expires_s,
        })
    }
}

/// What a login came to is about the login.
fn as_login(failure: Failure) -> Failure {
    match failure {
        Failure::Refused(why) | Failure::Gone(why) | Failure::Doubtful(why) => Failure::Login(why),
        other @ (Failure::Limited { .. }
        | Failure::Login(_)
        | Failure::Conflict
        | Failure::Away(_)
        | Failure::Broken(_)) => other,
    }
}
