//! Reads `routing_keys` and `api_keys`: how senders that speak another service's API prove who they are.
//!
//! The key alone says which source a request is for, so no two sources share one. Must not show a key.

use crate::config::error::Complaint;
use crate::config::reader::TableReader;
use crate::config::secret::Secret;
use crate::config::settings::SourceKind;
use crate::config::values;

/// Bytes of the shortest key that cannot be guessed from another machine.
const KEY_BYTES_MIN: usize = 8;
/// Keys of a source that are not for kinds with keys of their own.
const OTHERS: [&str; 6] = ["token", "basic", "header", "signature", "open", "reconcile"];

/// The keys that were read so far, with the place of their source.
#[derive(Default)]
pub(super) struct Keys {
    known: Vec<(SourceKind, Secret, String)>,
}

impl Keys {
    /// Reads the keys of one source; `is_exposed` says whether other machines reach a listener.
    pub(super) fn read(
        &mut self,
        table: &mut TableReader<'_>,
        kind: SourceKind,
        is_exposed: bool,
    ) -> Vec<Secret> {
        let routing = table.list("routing_keys", values::remote_secret);
        let api = table.list("api_keys", values::remote_secret);
        let own = kind.keys_word();
        for word in ["routing_keys", "api_keys"] {
            if own != Some(word) && table.has(word) {
                let message = format!("kind {:?} has no {word}", kind.word());
                table.refuse(Some(word), Complaint::new(message).hint("remove it"));
            }
        }
        let Some(own) = own else {
            return Vec::new();
        };
        let keys = match kind {
            SourceKind::Opsgenie => api,
            SourceKind::PagerDuty
            | SourceKind::Alertmanager
            | SourceKind::Json
            | SourceKind::CloudEvents
            | SourceKind::Sns
            | SourceKind::Mqtt
            | SourceKind::Sparkplug => routing,
        };
        for word in OTHERS.into_iter().filter(|word| table.has(word)) {
            let message = format!("kind {:?} does not take {word}", kind.word());
            let hint = format!("remove it; senders prove who they are with one of the {own}");
            table.refuse(Some(word), Complaint::new(message).hint(hint));
        }
        if !table.has(own) || table.is_empty_list(own) {
            let message = format!("kind {:?} needs {own}", kind.word());
            let hint = format!("write {own} = [\"...\"] with the key that the sender is given");
            let at = table.has(own).then_some(own);
            table.refuse(at, Complaint::new(message).hint(hint));
        }
        for key in &keys {
            self.check(table, (kind, own), key, is_exposed);
        }
        keys
    }

    fn check(
        &mut self,
        table: &TableReader<'_>,
        (kind, own): (SourceKind, &str),
        key: &Secret,
        is_exposed: bool,
    ) {
        if is_exposed && key.expose().len() < KEY_BYTES_MIN {
            let message = format!(
                "a key is shorter than {KEY_BYTES_MIN} bytes, which other machines can guess"
            );
            let hint = "make a long random one, for example with `openssl rand -hex 16`";
            table.refuse(Some(own), Complaint::new(message).hint(hint));
        }
        let same =
            |(known, secret, _): &&(SourceKind, Secret, String)| *known == kind && secret == key;
        if let Some((_, _, place)) = self.known.iter().find(same) {
            let message = format!("a key is written at {place} already");
            let hint =
                "give every source keys of its own: the key says which source a request is for";
            table.refuse(Some(own), Complaint::new(message).hint(hint));
        } else {
            self.known.push((kind, key.clone(), table.place()));
        }
    }
}
