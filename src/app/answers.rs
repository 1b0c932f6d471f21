//! The links by which people answer messages: made with the settings of the moment.
//!
//! Must not decide what a link allows; that is the API's.

use std::sync::Arc;

use smol_str::SmolStr;
use tokio::sync::watch;

use crate::answer_link::{Answerable, LinkKey};
use crate::config::Settings;
use crate::deliver::AnswerLink;

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
