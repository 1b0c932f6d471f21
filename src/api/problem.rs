//! The only mapping from errors and refusals to status codes: RFC 9457 problem details.
//!
//! Every answer that is not a success is made here, so that its `type` stays stable and says the same everywhere.
//! Must not show SQL, addresses, tokens or bodies.

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::core::reason::Reason;
use crate::engine::handle::SubmitError;
use crate::store::StoreError;

/// The media type of every error.
pub const PROBLEM_JSON: &str = "application/problem+json";
/// Seconds after which something that is down for a moment should be tried again.
const RETRY_AFTER_S: u64 = 2;

/// What kind of trouble it is; decides status, `type` and `title`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request cannot be understood or breaks a limit.
    BadRequest,
    /// No valid token.
    Unauthorized,
    /// The token may not do this.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The body did not arrive in time.
    BodyTimeout,
    /// An import would delete too much.
    ImportHeld,
    /// Rows of an import are wrong, and all or nothing was asked for.
    ImportRefused,
    /// The core refused a command.
    Refused(Reason),
    /// A dead letter cannot be replayed as things are.
    NotReplayable,
    /// A dead letter is still not understood.
    NotUnderstood,
    /// The body is too large.
    TooLarge,
    /// The body's encoding is not known.
    UnsupportedEncoding,
    /// Too many wrong tokens from one address.
    TooManyAttempts,
    /// A defect of ours.
    Internal,
    /// The store does not answer.
    StoreUnavailable,
    /// Too much waits already.
    Overloaded,
    /// The daemon is stopping.
    Stopping,
    /// The engine does not decide now.
    NotReady,
    /// A command may or may not have been carried out.
    OutcomeUnknown,
}

/// An answer that says what went wrong.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: Kind,
    detail: String,
    retry_after_s: Option<u64>,
    more: Map<String, Value>,
}

/// A problem as JSON; more fields may follow, like `reason` of a refused command.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// A stable name of the kind of problem.
    #[serde(rename = "type")]
    #[schema(example = "urn:watchbell:problem:stale-version")]
    kind: String,
    /// The kind in a few words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong here, and what to do.
    detail: String,
    /// What else is known.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    more: Map<String, Value>,
}

impl Kind {
    const fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound | Self::Refused(Reason::UnknownIncident) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::NotUnderstood
            | Self::ImportRefused
            | Self::Refused(
                Reason::ChangeEndsTooEarly
                | Reason::OverrideEndsTooEarly
                | Reason::SilenceEndsTooEarly,
            ) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Refused(_) | Self::NotReplayable | Self::ImportHeld => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooManyAttempts => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::StoreUnavailable
            | Self::Overloaded
            | Self::Stopping
            | Self::NotReady
            | Self::OutcomeUnknown => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    const fn name_and_title(self) -> (&'static str, &'static str) {
        match self {
            Self::BadRequest => ("bad-request", "The request cannot be understood"),
            Self::Unauthorized => ("unauthorized", "A valid token is needed"),
            Self::Forbidden => ("forbidden", "This is not allowed"),
            Self::NotFound => ("not-found", "There is no such thing"),
            Self::MethodNotAllowed => ("method-not-allowed", "This method is not offered here"),
            Self::BodyTimeout => ("body-timeout", "The request body did not arrive in time"),
            Self::ImportRefused => ("import-refused", "Rows of the import are wrong"),
            Self::ImportHeld => ("import-held", "The import waits for confirmation"),
            Self::Refused(Reason::StaleVersion) => {
                (Reason::StaleVersion.code(), "The version is stale")
            }
            Self::Refused(reason) => (reason.code(), "The command was refused"),
            Self::NotReplayable => ("not-replayable", "The dead letter cannot be replayed"),
            Self::NotUnderstood => ("not-understood", "The message is still not understood"),
            Self::TooLarge => ("body-too-large", "The request body is too large"),
            Self::UnsupportedEncoding => {
                ("unsupported-encoding", "The content encoding is not known")
            }
            Self::TooManyAttempts => ("too-many-attempts", "Too many wrong tokens"),
            Self::Internal => ("internal", "Something went wrong here"),
            Self::StoreUnavailable => ("store-unavailable", "The store does not answer"),
            Self::Overloaded => ("overloaded", "Too much waits already"),
            Self::Stopping => ("stopping", "The daemon is stopping"),
            Self::NotReady => ("not-ready", "Not ready yet"),
            Self::OutcomeUnknown => ("outcome-unknown", "The outcome is not known"),
        }
    }
}

impl Problem {
    /// A problem of a kind; `detail` says what is wrong here and what to do.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            retry_after_s: (kind.status() == StatusCode::SERVICE_UNAVAILABLE)
                .then_some(RETRY_AFTER_S),
            more: Map::new(),
        }
    }

    /// Something in the request is wrong.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(Kind::BadRequest, detail)
    }

    /// There is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, detail)
    }

    /// A command was refused by the core, with its reason.
    pub fn refused(reason: Reason) -> Self {
        Self::new(Kind::Refused(reason), reason.sentence()).with("reason", reason.code())
    }

    /// Whether the core refused for that reason.
    pub fn is_for(&self, reason: Reason) -> bool {
        self.kind == Kind::Refused(reason)
    }

    /// A defect of ours; the cause is in the log, not in the answer.
    pub fn internal() -> Self {
        let detail = "the request met a defect of Watchbell; the log of the daemon says more";
        Self::new(Kind::Internal, detail)
    }

    /// The problem that stands for an error answer that some library made.
    pub fn for_status(status: StatusCode) -> Self {
        let by_library = [
            (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                Kind::UnsupportedEncoding,
                "send the body as it is, or with gzip",
            ),
            (
                StatusCode::METHOD_NOT_ALLOWED,
                Kind::MethodNotAllowed,
                "see the Allow header",
            ),
            (StatusCode::PAYLOAD_TOO_LARGE, Kind::TooLarge, "send less"),
            (
                StatusCode::NOT_FOUND,
                Kind::NotFound,
                "nothing is found under this path",
            ),
        ];
        match by_library.into_iter().find(|(known, ..)| *known == status) {
            Some((_, kind, detail)) => Self::new(kind, detail),
            None if status.is_client_error() => Self::bad_request("the request is not well formed"),
            None => Self::internal(),
        }
    }

    /// Whether it is of that kind.
    pub fn is(&self, kind: Kind) -> bool {
        self.kind == kind
    }

    /// The status that it is answered with.
    pub fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// What is wrong, in words.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if !error.is_retryable() {
            log::error!(error:% = error; "the store cannot be read: {error}");
        }
        Self::new(Kind::StoreUnavailable, error.to_string())
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        let kind = match error {
            SubmitError::Overloaded => Kind::Overloaded,
            SubmitError::Stopping => Kind::Stopping,
            SubmitError::NotReady(_) => Kind::NotReady,
            SubmitError::Store(error) => return error.into(),
            SubmitError::Unknown => Kind::OutcomeUnknown,
        };
        Self::new(kind, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.kind.status();
        let (name, title) = self.kind.name_and_title();
        let body = ProblemBody {
            kind: format!("urn:watchbell:problem:{}", name.replace('_', "-")),
            title,
            status: status.as_u16(),
            detail: self.detail,
            more: self.more,
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"watchbell\"");
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
