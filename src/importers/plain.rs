//! One document behind one address, read by its format.
//!
//! Must not follow anything that the document names.

use bytes::Bytes;
use url::Url;

use crate::importers::conversation::{Answer, Conversation, Request, Step};
use crate::importers::{Format, NamedBytes};

/// The conversation.
pub struct Fetch {
    format: &'static dyn Format,
    url: Url,
}

impl Fetch {
    /// Reads the document at an address.
    pub fn new(format: &'static dyn Format, url: Url) -> Self {
        Self { format, url }
    }
}

impl Conversation for Fetch {
    fn next(&mut self, answer: Option<&Answer>) -> Step {
        let Some(answer) = answer else {
            let mut request = Request::get(self.url.clone());
            request.headers.clear();
            return Step::Fetch(request);
        };
        if !answer.is_success() {
            return Step::Failed(answer.refusal());
        }
        let name = self.url.path().rsplit('/').next().unwrap_or_default();
        let file = NamedBytes {
            name: if name.is_empty() {
                "answer".to_owned()
            } else {
                name.to_owned()
            },
            bytes: Bytes::copy_from_slice(&answer.body),
        };
        match self.format.read(&[file]) {
            Ok(picture) => Step::Done(picture),
            Err(error) => Step::Failed(error.to_string()),
        }
    }
}

/// Whether an address is the base of an API, and not that of a document.
pub fn is_base(url: &Url) -> bool {
    let last = url.path().rsplit('/').next().unwrap_or_default();
    !last.contains('.') && !url.path().contains("/api/")
}
