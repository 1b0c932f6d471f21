//! The links by which people answer messages: made with the settings of the moment.
//!
//! Must not decide what a link allows; that is the API's.

use std::sync::Arc;

use smol_str::SmolStr;
use tokio::sync::watch;

use crate::answer_link::{Answerable, LinkKey};
use crate::config::Settings;
use crate::core::ids::IncidentId;
use crate::core::time::Timestamp;
use crate::deliver::{AnswerLink, RatingLink, Thread};

/// Names the thread of an incident's mails, so that a reply in it is known again.
pub(super) fn thread(key: LinkKey) -> Thread {
    Arc::new(move |incident| key.thread(incident))
}

/// Makes links below the address of the daemon, which work as long as the settings say.
pub(super) fn answer_link(key: LinkKey, settings: watch::Receiver<Arc<Settings>>) -> AnswerLink {
    Arc::new(move |incident, who, now| {
        let settings = Arc::clone(&settings.borrow());
        let about = Answerable {
            incident,
            who: SmolStr::new(who),
            expires_at: now.plus(settings.answers.link_expires),
        };
        key.url(&base(&settings), &about)
    })
}

/// Makes links to rate by, for the targets whose readers are asked.
pub(super) fn rating_link(key: &LinkKey, settings: watch::Receiver<Arc<Settings>>) -> RatingLink {
    let key = key.for_ratings();
    Arc::new(move |incident, asked, now| {
        let settings = Arc::clone(&settings.borrow());
        let targets = &settings.answers.rating_targets;
        targets.iter().find(|target| **target == asked.target)?;
        Some(rating_url(&key, &settings, incident, asked.who, now).0)
    })
}

/// A link to rate by, and until when it works. The key is that of [`LinkKey::for_ratings`].
pub(super) fn rating_url(
    key: &LinkKey,
    settings: &Settings,
    incident: IncidentId,
    who: &str,
    now: Timestamp,
) -> (String, Timestamp) {
    let about = Answerable {
        incident,
        who: SmolStr::new(who),
        expires_at: now.plus(settings.answers.rating_expires),
    };
    (key.url(&base(settings), &about), about.expires_at)
}

/// The address under which people reach the daemon.
fn base(settings: &Settings) -> String {
    let server = &settings.server;
    server.external_url.clone().unwrap_or_else(|| {
        let scheme = if server.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let listen = server.listen.first().map(ToString::to_string);
        format!("{scheme}://{}", listen.unwrap_or_default())
    })
}
