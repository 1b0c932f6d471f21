//! The pages of an answer link: plain, readable in the dark, usable with keyboard and screen reader, without a script.
//!
//! Must not need anything from another host.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::answer_link::BadLink;
use crate::api::time::Time;
use crate::core::ids::IncidentId;
use crate::core::incident::StateWord;
use crate::store::query::incidents::IncidentView;

/// The style of the pages; its hash is in the content security policy.
pub(super) const STYLE: &str = include_str!("answer.css");

/// Shows an incident and asks what to do about it.
pub(super) fn question(view: &IncidentView, who: &str, said: Option<&str>) -> Markup {
    let incident = &view.incident;
    let number = incident.id.to_string();
    let state = incident.state.word();
    let owner = incident.owner.as_deref();
    whole(
        &format!("{number}: {}", view.title),
        &html! {
            @if let Some(said) = said {
                p .said role="status" { (said) }
            }
            h1 { (number) ": " (view.title) }
            dl {
                dt { "State" } dd { (state.word().replace('_', " ")) }
                dt { "Priority" } dd { (incident.priority.word()) }
                dt { "Since" } dd { (Time(incident.opened_at).to_string()) }
                dt { "Alerts" } dd { (incident.firing) " firing of " (incident.total) }
                @if let Some(team) = owner.and_then(|it| it.team.as_ref()) {
                    dt { "Team" } dd { (team) }
                }
                @if let Some(assignee) = owner.and_then(|it| it.assignee.as_ref()) {
                    dt { "With" } dd { (assignee) }
                }
            }
            @if incident.state.is_open() || state == StateWord::Resolved {
                form method="post" {
                    label for="note" { "Note (optional)" }
                    textarea #note name="note" maxlength="4000" {}
                    div .buttons {
                        @if matches!(state, StateWord::New | StateWord::InProgress) {
                            button .first type="submit" name="do" value="acknowledge" { "Acknowledge" }
                        }
                        @if incident.state.is_open() {
                            button type="submit" name="do" value="resolve" { "Resolve" }
                        }
                        button type="submit" name="do" value="note" { "Add the note only" }
                    }
                }
            }
            p { small { "You answer as " (who) ". Whoever has this link can do the same, until it expires." } }
        },
    )
}

/// The incident is not there any more.
pub(in crate::api) fn gone(incident: IncidentId) -> Markup {
    whole(
        "Not found",
        &html! {
            h1 { (incident.to_string()) " is not there any more" }
            p { "It was closed long ago, or never was." }
        },
    )
}

/// The link does not work.
pub(in crate::api) fn bad_link(bad: BadLink) -> Markup {
    let (title, next) = match bad {
        BadLink::Forged => (
            "This link does not work",
            "It was cut or changed on its way. Copy it as a whole from the message.",
        ),
        BadLink::Expired => (
            "This link has expired",
            "Use the link of a newer message, or watchbell incident on a command line.",
        ),
    };
    whole(
        title,
        &html! {
            h1 { (title) }
            p { (next) }
        },
    )
}

pub(in crate::api) fn whole(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) " - Watchbell" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main { (content) }
            }
        }
    }
}
