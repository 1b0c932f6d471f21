//! One text behind one address, as calendars are: a GET with a bound on time and size.
//!
//! Must not follow a redirect, nor show the address, which may be a secret.

use std::time::Duration;

use tokio::time::timeout;

use super::{Egress, FetchError, chain};

/// How long one text may take.
const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(30);

impl Egress {
    /// Reads the text at the configured address.
    ///
    /// # Errors
    /// The server is not reached or refuses, the answer is too large or no text, or it took too long.
    pub async fn document(&self, bytes_max: usize) -> Result<String, FetchError> {
        let broken = |cause: String| FetchError::Broken {
            place: self.base.host_str().unwrap_or_default().to_owned(),
            cause,
        };
        self.guard.check(&self.base).map_err(broken)?;
        let read = timeout(DOCUMENT_TIMEOUT, self.get(bytes_max)).await;
        let late = |_| Err(format!("no answer within {} s", DOCUMENT_TIMEOUT.as_secs()));
        read.unwrap_or_else(late).map_err(broken)
    }

    async fn get(&self, bytes_max: usize) -> Result<String, String> {
        let request = self.client.get(self.base.clone());
        let request = request.headers(self.secrets.clone());
        let mut response = request.send().await.map_err(|error| chain(&error))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(format!(
                "it answers {status}; write the address that it points to"
            ));
        }
        if !status.is_success() {
            return Err(format!("it answers {status}"));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error))? {
            if body.len().saturating_add(chunk.len()) > bytes_max {
                return Err(format!("it is larger than {} MiB", bytes_max >> 20));
            }
            body.extend_from_slice(&chunk);
        }
        String::from_utf8(body).map_err(|_| "it is not a text in UTF-8".to_owned())
    }
}
