//! THE route list, by who may use them, and the order of what every request passes.
//!
//! Must be the only place that names a route of ours (Alertmanager's are in [`alertmanager`]); what belongs to the contract but not to this version is listed here too.

use std::sync::Arc;

use axum::extract::Request;
use axum::{Extension, Router, middleware};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::require;
use super::openapi::{self, Documents};
use super::problem::{Kind, Problem};
use super::{
    ApiState, alertmanager, alerts, answers, audit, bind, changes, cis, cmdb, cmdb_imports,
    commands, connectors, dead_letters, doors, escalations, feeds, heartbeats, incidents,
    known_errors, layers, maintenance, majors, outbox, problems, quality, ratings, reports,
    requests, review, schedules, silences, sources, status, stream, targets, tell_routes, tokens,
};
use crate::api_token::Role;

/// The API as a router with its own fallback; other routers are merged into it.
pub fn router(state: ApiState) -> Router {
    let (router, mut document) = assemble(&state).split_for_parts();
    doors::describe(&mut document);
    let documents = Arc::new(Documents::new(&document));
    let router = router
        .layer(Extension(documents))
        .merge(alertmanager::router(&state))
        .method_not_allowed_fallback(not_allowed)
        .fallback(not_found)
        .with_state(state)
        .merge(crate::web::router());
    layers::wrap(router)
}

/// The routes with their document.
fn assemble(state: &ApiState) -> OpenApiRouter<ApiState> {
    let everybody = OpenApiRouter::new()
        .routes(routes!(status::healthz))
        .routes(routes!(status::readyz))
        .routes(routes!(status::openapi))
        .routes(routes!(answers::slack::interact))
        .routes(routes!(answers::ask, answers::answer))
        .routes(routes!(ratings::ask_rating, ratings::rate))
        .routes(routes!(status::docs));
    let metrics = OpenApiRouter::new().routes(routes!(status::metrics));
    let admin = OpenApiRouter::new()
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(audit::list))
        .routes(routes!(audit::verify))
        .routes(routes!(cmdb::import));
    let is_metrics_open = state.auth().setup().is_metrics_open;
    OpenApiRouter::with_openapi(openapi::start())
        .merge(everybody)
        .merge(if is_metrics_open {
            metrics
        } else {
            guard(metrics, state, Role::Viewer)
        })
        .merge(guard(viewers().merge(on_call()), state, Role::Viewer))
        .merge(telling(state))
        .merge(guard(
            layers::unpack(responders().merge(stand_in())),
            state,
            Role::Responder,
        ))
        .merge(guard(layers::unpack(admin), state, Role::Admin))
}

/// What everybody with a token may look at.
fn viewers() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(incidents::list))
        .routes(routes!(stream::stream))
        .routes(routes!(incidents::get))
        .routes(routes!(incidents::timeline))
        .routes(routes!(incidents::alerts))
        .routes(routes!(incidents::explain))
        .routes(routes!(requests::list))
        .routes(routes!(requests::get))
        .routes(routes!(problems::list))
        .routes(routes!(problems::get))
        .routes(routes!(known_errors::list_known))
        .routes(routes!(known_errors::get_known))
        .routes(routes!(problems::similar))
        .routes(routes!(majors::get))
        .routes(routes!(majors::actions))
        .routes(routes!(review::review))
        .routes(routes!(changes::list))
        .routes(routes!(changes::figures))
        .routes(routes!(changes::get))
        .routes(routes!(changes::of_incident))
        .routes(routes!(alerts::list))
        .routes(routes!(alerts::get))
        .routes(routes!(alerts::timeline))
        .routes(routes!(alerts::explain))
        .routes(routes!(cmdb_imports::configured))
        .routes(routes!(silences::list))
        .routes(routes!(silences::get))
        .routes(routes!(maintenance::list))
        .routes(routes!(feeds::list))
        .routes(routes!(maintenance::get))
        .routes(routes!(cis::list))
        .routes(routes!(cis::get))
        .routes(routes!(cis::relations))
        .routes(routes!(cis::all_relations))
        .routes(routes!(cis::impact))
        .routes(routes!(cis::services))
        .routes(routes!(cmdb::imports))
        .routes(routes!(quality::doctor))
        .routes(routes!(cmdb::export))
        .routes(routes!(sources::list))
        .routes(routes!(sources::one))
        .routes(routes!(heartbeats::list))
        .routes(routes!(connectors::list))
        .routes(routes!(connectors::get))
        .routes(routes!(connectors::of_incident))
        .routes(routes!(reports::list))
        .routes(routes!(reports::get))
        .routes(routes!(ratings::list_ratings))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::get))
}

/// What people who handle incidents may do.
fn responders() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(commands::acknowledge))
        .routes(routes!(commands::assign))
        .routes(routes!(commands::start))
        .routes(routes!(commands::hold))
        .routes(routes!(commands::resume))
        .routes(routes!(commands::resolve))
        .routes(routes!(commands::close))
        .routes(routes!(commands::reopen))
        .routes(routes!(commands::add_note))
        .routes(routes!(commands::merge))
        .routes(routes!(commands::split))
        .routes(routes!(commands::unlink))
        .routes(routes!(commands::pin))
        .routes(routes!(commands::root))
        .routes(routes!(bind::bind))
        .routes(routes!(requests::create))
        .routes(routes!(requests::edit))
        .routes(routes!(problems::create))
        .routes(routes!(problems::edit))
        .routes(routes!(known_errors::create_known))
        .routes(routes!(known_errors::edit_known))
        .routes(routes!(majors::order))
        .routes(routes!(ratings::make_link))
        .routes(routes!(majors::create_action))
        .routes(routes!(majors::edit_action))
        .routes(routes!(review::write))
        .routes(routes!(connectors::pause))
        .routes(routes!(connectors::resume))
        .routes(routes!(connectors::resync))
        .routes(routes!(commands::set_priority))
        .routes(routes!(changes::create))
        .routes(routes!(changes::change, changes::edit))
        .routes(routes!(changes::judge))
        .routes(routes!(sources::try_message))
        .routes(routes!(dead_letters::replay))
        .routes(routes!(cmdb::bind_check))
        .routes(routes!(silences::create))
        .routes(routes!(silences::preview))
        .routes(routes!(maintenance::create))
        .routes(routes!(maintenance::preview))
        .routes(routes!(maintenance::cancel))
        .routes(routes!(
            maintenance::change,
            maintenance::patch,
            maintenance::update,
            maintenance::delete
        ))
        .routes(routes!(silences::change, silences::edit, silences::expire))
}

/// Who is on call.
fn on_call() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(schedules::list))
        .routes(routes!(schedules::get))
        .routes(routes!(schedules::on_call))
        .routes(routes!(schedules::list_overrides))
        .routes(routes!(escalations::list_escalations))
        .routes(routes!(escalations::audit))
        .routes(routes!(escalations::of_incident))
}

/// What people can do about who is on call.
fn stand_in() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(schedules::create_override))
        .routes(routes!(schedules::end_override))
}

/// Telling people: what everybody may see, and what those may do who respond.
fn telling(state: &ApiState) -> OpenApiRouter<ApiState> {
    let viewer = OpenApiRouter::new()
        .routes(routes!(outbox::list))
        .routes(routes!(outbox::get))
        .routes(routes!(targets::list))
        .routes(routes!(targets::get))
        .routes(routes!(answers::ways::list))
        .routes(routes!(tell_routes::try_route));
    let responder = OpenApiRouter::new()
        .routes(routes!(outbox::retry))
        .routes(routes!(outbox::discard))
        .routes(routes!(outbox::retry_all))
        .routes(routes!(targets::pause))
        .routes(routes!(targets::resume))
        .routes(routes!(targets::test));
    guard(viewer, state, Role::Viewer).merge(guard(
        layers::unpack(responder),
        state,
        Role::Responder,
    ))
}

/// Asks for a role, in the router and in its document.
fn guard(
    mut routes: OpenApiRouter<ApiState>,
    state: &ApiState,
    role: Role,
) -> OpenApiRouter<ApiState> {
    openapi::require(routes.get_openapi_mut(), role);
    routes.route_layer(middleware::from_fn_with_state(
        (state.clone(), role),
        require,
    ))
}

async fn not_allowed() -> Problem {
    let detail = "the path exists, but not with this method; the Allow header tells which ones do";
    Problem::new(Kind::MethodNotAllowed, detail)
}

async fn not_found(request: Request) -> Problem {
    let path = request.uri().path();
    if let Some(problem) = outside(path) {
        return problem;
    }
    Problem::not_found("nothing is found under this path; /api/docs lists what there is")
}

/// What to say about a path that belongs to the contract but not to the API.
fn outside(path: &str) -> Option<Problem> {
    let is_under = |root: &str| {
        path.strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if is_under("/ingest") {
        let detail =
            "alerts are sent to /ingest/ and the name of a source; /api/v1/sources lists them";
        return Some(Problem::not_found(detail));
    }
    is_under("/hooks").then(|| {
        let detail = "ticket platforms send to /hooks/ and the name of a connector, an Alertmanager to /ingest/ and the name of a source";
        Problem::not_found(detail)
    })
}
