//! The OpenAPI document: what is true for every operation, added to what the handlers say of themselves.
//!
//! Must not list an operation; those come from the route list.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{ArrayItems, Schema};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required,
    Response, ResponseBuilder,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::docs;
use super::problem::{PROBLEM_JSON, ProblemBody};
use crate::api_token::Role;

/// The name of the security scheme.
const BEARER: &str = "bearer";
/// Bodies of requests; everything else is an answer, in which every field is always present.
const REQUESTS: [&str; 18] = [
    "Acknowledge",
    "Assign",
    "BindCheck",
    "Hold",
    "MajorBody",
    "Note",
    "Plain",
    "RatingLinkBody",
    "Reopen",
    "Resolve",
    "ReviewBody",
    "SetPriority",
    "TokenWanted",
    "MatcherWanted",
    "SilenceBody",
    "Names",
    "ScopeBody",
    "WindowBody",
];

/// Answers that leave out what does not apply.
const SPARSE: [&str; 2] = ["Health", "Problem"];

/// The document in the forms in which it is served.
#[derive(Debug)]
pub struct Documents {
    /// As JSON.
    pub json: Bytes,
    /// As a page.
    pub html: String,
    /// The content security policy of the page: nothing but its own style.
    pub policy: String,
}

impl Documents {
    /// Renders a document.
    pub fn new(document: &OpenApi) -> Self {
        let mut document = document.clone();
        finish(&mut document);
        let value = serde_json::to_value(&document).unwrap_or_default();
        let style = STANDARD.encode(Sha256::digest(docs::STYLE.as_bytes()));
        Self {
            json: Bytes::from(value.to_string()),
            html: docs::page(&value).into_string(),
            policy: format!(
                "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
                 frame-ancestors 'none'"
            ),
        }
    }
}

/// A document without operations.
pub(super) fn start() -> OpenApi {
    let about = "Incidents, alerts and what happened to them. Alerts come in at `POST /ingest/{source}`; \
                 `GET /api/v1/sources` lists the sources. Lists answer `items` and `next_cursor`; errors are \
                 problems (RFC 9457) with a stable `type`; times are RFC 3339 in UTC; durations are seconds in fields \
                 ending in `_s`.";
    let info = InfoBuilder::new()
        .title("Watchbell")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(about));
    let scheme = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("wbt_...")
        .description(Some(
            "A token of `watchbell token create`; not asked for when [auth] required is false",
        ))
        .build();
    let components = ComponentsBuilder::new()
        .security_scheme(BEARER, SecurityScheme::Http(scheme))
        .schema(ProblemBody::name(), ProblemBody::schema());
    OpenApiBuilder::new()
        .info(info)
        .components(Some(components.build()))
        .build()
}

/// Says in a part of the document which role its operations need.
pub(super) fn require(document: &mut OpenApi, role: Role) {
    for operation in operations(document) {
        operation.security = Some(vec![SecurityRequirement::new(BEARER, [role.as_str()])]);
        let answers = &mut operation.responses.responses;
        for (status, description) in [
            ("401", "No valid token"),
            ("403", "The token has not the role that this needs"),
        ] {
            answers.insert(status.to_owned(), RefOr::T(problem(description)));
        }
    }
}

/// Adds what is true for every operation, and marks what is always present.
fn finish(document: &mut OpenApi) {
    let optional = optional_bodies(document);
    for (path, item) in &mut document.paths.paths {
        let is_command = item.post.is_some() && path.contains("/incidents/");
        let operations = [
            &mut item.get,
            &mut item.post,
            &mut item.put,
            &mut item.patch,
            &mut item.delete,
        ];
        for operation in operations.into_iter().flatten() {
            name_by_tag(operation);
            relax_body(operation, &optional);
            add_errors(operation, path, is_command);
        }
    }
    let components = document.components.as_mut();
    let schemas = components.map(|components| &mut components.schemas);
    for (name, schema) in schemas.into_iter().flatten() {
        let is_answer = !REQUESTS.contains(&name.as_str()) && !SPARSE.contains(&name.as_str());
        if let (RefOr::T(schema), true) = (schema, is_answer) {
            complete(name, schema);
        }
    }
}

/// Adds the errors that an operation can have besides those it names itself.
fn add_errors(operation: &mut Operation, path: &str, is_command: bool) {
    let has_security = operation.security.is_some();
    let known = &mut operation.responses.responses;
    for (status, applies, description) in [
        ("404", path.contains('{'), "There is no such thing"),
        (
            "409",
            is_command,
            "The command was refused; `reason` says why",
        ),
        ("503", has_security, "Try again after `Retry-After` seconds"),
        ("default", true, "Any other error"),
    ] {
        if applies {
            let answer = known.entry(status.to_owned());
            answer.or_insert_with(|| RefOr::T(problem(description)));
        }
    }
}

/// Says that a body may be left out when it has no field that must be there.
fn relax_body(operation: &mut Operation, optional: &[String]) {
    let Some(RefOr::T(body)) = &mut operation.request_body else {
        return;
    };
    let is_optional = body.content.values().any(|content| {
        let RefOr::T(content) = content else {
            return false;
        };
        matches!(&content.schema, Some(RefOr::Ref(named)) if optional.contains(&named.ref_location))
    });
    if is_optional {
        body.required = Some(Required::False);
    }
}

/// Where the bodies stand that may be left out, having no field that must be there.
fn optional_bodies(document: &OpenApi) -> Vec<String> {
    let schemas = document
        .components
        .iter()
        .flat_map(|components| &components.schemas);
    let optional = schemas.filter(|(name, schema)| {
        let RefOr::T(Schema::Object(object)) = schema else {
            return false;
        };
        REQUESTS.contains(&name.as_str()) && object.required.is_empty()
    });
    optional
        .map(|(name, _)| Ref::from_schema_name(name).ref_location)
        .collect()
}

/// Marks every field as present, and lets a list name its items instead of repeating them.
fn complete(name: &str, schema: &mut Schema) {
    if let Schema::AllOf(parts) = schema {
        for part in &mut parts.items {
            if let RefOr::T(part) = part {
                complete(name, part);
            }
        }
    }
    let Schema::Object(object) = schema else {
        return;
    };
    object.required = object.properties.keys().cloned().collect();
    if let Some(item) = name.strip_prefix("List_")
        && let Some(RefOr::T(Schema::Array(array))) = object.properties.get_mut("items")
    {
        let item = RefOr::Ref(Ref::from_schema_name(item));
        array.items = ArrayItems::RefOrSchema(Box::new(item));
    }
}

fn operations(document: &mut OpenApi) -> impl Iterator<Item = &mut Operation> {
    let items = document.paths.paths.values_mut();
    items.flat_map(|item| {
        [
            &mut item.get,
            &mut item.post,
            &mut item.put,
            &mut item.patch,
            &mut item.delete,
        ]
        .into_iter()
        .flatten()
    })
}

/// Handlers of different resources may have one name; operations may not.
fn name_by_tag(operation: &mut Operation) {
    let tag = operation.tags.iter().flatten().next();
    let name = operation.operation_id.as_deref().unwrap_or_default();
    let tag = tag.map(|tag| tag.replace(' ', "_")).unwrap_or_default();
    operation.operation_id = Some(format!("{tag}_{name}"));
}

/// An answer that is a problem.
pub(super) fn problem(description: &str) -> Response {
    let schema = Ref::from_schema_name(ProblemBody::name());
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new()
        .description(description)
        .content(PROBLEM_JSON, content)
        .build()
}
