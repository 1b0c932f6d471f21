//! Checks of single values: durations, sizes, counts, addresses, words, secrets.
//!
//! Each takes its valid range and says it when refusing. Must not look at any other key; checks across keys live with
//! their section.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use url::Url;

use crate::config::error::Complaint;
use crate::config::files;
use crate::config::reader::{Spot, expected, nearest};
use crate::config::secret::{self, Origin, Secret};
use crate::config::tree::Value;
use crate::config::units::{
    DURATION_HINT, SIZE_HINT, parse_duration, parse_size, show_duration, show_size,
};
use crate::core::time::Span;

/// The longest time any key takes: 100 years.
pub(super) const FOREVER: Span = Span::from_days(36_500);
/// Bytes of a PEM file; a larger one is the wrong file and is refused.
const PEM_BYTES_MAX: u64 = 4 << 20;

/// A duration within a range.
pub(super) fn duration(
    range: RangeInclusive<Span>,
) -> impl FnOnce(&Spot<'_>) -> Result<Span, Complaint> {
    move |spot| {
        let text = spot
            .text("a duration")
            .map_err(|complaint| complaint.hint(DURATION_HINT))?;
        let span = parse_duration(text)?;
        if range.contains(&span) {
            return Ok(span);
        }
        let (min, max) = (show_duration(*range.start()), show_duration(*range.end()));
        Err(out_of_range(&format!("{text:?}"), &min, &max))
    }
}

/// A number of bytes within a range.
pub(super) fn size(range: RangeInclusive<u64>) -> impl FnOnce(&Spot<'_>) -> Result<u64, Complaint> {
    move |spot| {
        let text = spot
            .text("a size")
            .map_err(|complaint| complaint.hint(SIZE_HINT))?;
        let bytes = parse_size(text)?;
        if range.contains(&bytes) {
            return Ok(bytes);
        }
        let (min, max) = (show_size(*range.start()), show_size(*range.end()));
        Err(out_of_range(&format!("{text:?}"), &min, &max))
    }
}

/// A count within a range.
pub(super) fn count(
    range: RangeInclusive<u32>,
) -> impl FnOnce(&Spot<'_>) -> Result<u32, Complaint> {
    move |spot| {
        let (min, max) = (range.start().to_string(), range.end().to_string());
        let Value::Integer(number) = &spot.node.value else {
            let hint = format!("write a number from {min} to {max}, without quotes");
            return Err(expected("a whole number", &spot.node.value).hint(hint));
        };
        let fits = number
            .and_then(|n| u32::try_from(n).ok())
            .filter(|n| range.contains(n));
        let shown = number.map_or_else(|| "this number".to_owned(), |n| n.to_string());
        fits.ok_or_else(|| out_of_range(&shown, &min, &max))
    }
}

fn out_of_range(shown: &str, min: &str, max: &str) -> Complaint {
    Complaint::new(format!("{shown} is out of range"))
        .hint(format!("write something from {min} to {max}"))
}

/// `true` or `false`.
pub(super) fn flag(spot: &Spot<'_>) -> Result<bool, Complaint> {
    if let Value::Flag(flag) = spot.node.value {
        return Ok(flag);
    }
    Err(expected("true or false", &spot.node.value).hint("write it without quotes"))
}

/// Text that is not empty and has no control characters.
pub(super) fn text(spot: &Spot<'_>) -> Result<String, Complaint> {
    let text = spot.text("text")?;
    if text.is_empty() {
        return Err(Complaint::new("is empty"));
    }
    if text.contains(char::is_control) {
        return Err(Complaint::new(
            "contains a line break or another control character",
        ));
    }
    Ok(text.to_owned())
}

/// One word of a closed list, turned into its value.
pub(super) fn word<T: Copy>(
    words: &'static [(&'static str, T)],
) -> impl FnOnce(&Spot<'_>) -> Result<T, Complaint> {
    move |spot| {
        let found = spot.text("a word")?;
        if let Some((_, value)) = words.iter().find(|(name, _)| *name == found) {
            return Ok(*value);
        }
        let names: BTreeSet<&str> = words.iter().map(|(name, _)| *name).collect();
        let listed: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let hint = match nearest(found, &names) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("write one of {}", listed.join(", ")),
        };
        Err(Complaint::new(format!("{found:?} is not known here")).hint(hint))
    }
}

/// An IP address and port to listen on.
pub(super) fn listen_address(spot: &Spot<'_>) -> Result<SocketAddr, Complaint> {
    let hint = "write an IP address and a port, like 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080";
    let text = spot
        .text("an address")
        .map_err(|complaint| complaint.hint(hint))?;
    text.parse()
        .map_err(|_| Complaint::new(format!("{text:?} is not an address to listen on")).hint(hint))
}

/// An `http` or `https` address without credentials, query and fragment; a slash at its end is removed.
pub(super) fn http_url(spot: &Spot<'_>) -> Result<String, Complaint> {
    let hint = "write it like https://host:port/path";
    let text = spot
        .text("a URL")
        .map_err(|complaint| complaint.hint(hint))?;
    // The text itself is not shown: it may hold a password.
    let url = Url::parse(text)
        .map_err(|error| Complaint::new(format!("is not a URL: {error}")).hint(hint))?;
    if !matches!(url.scheme(), "http" | "https") {
        let message = format!("{:?} is not a scheme for this URL", url.scheme());
        return Err(Complaint::new(message).hint(hint));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Complaint::new("the URL holds a user or password")
            .hint("write them as `basic` or `token` next to it, where they are kept secret"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Complaint::new("the URL has a query or fragment").hint(hint));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// The path of a text file that can be read: text, `{ file = F }` or `{ credential = C }`.
pub(super) fn pem_file(spot: &Spot<'_>) -> Result<PathBuf, Complaint> {
    let hint = "write a path, or { credential = \"name\" }";
    let origin = origin(spot, "a path").map_err(|complaint| complaint.hint(hint))?;
    let path = match origin {
        Origin::Inline(path) => spot.reading.files.resolve(spot.node.at.file, &path),
        Origin::File(path) => path,
        Origin::Credential(name) => secret::credential_path(&name, spot.reading.env)?,
        Origin::Env(_) => {
            return Err(Complaint::new("a file cannot come from a variable").hint(hint));
        }
    };
    match files::read_text(&path, PEM_BYTES_MAX) {
        Ok(_) => Ok(path),
        Err(cause) => Err(
            Complaint::new(format!("cannot read {}: {cause}", path.display()))
                .hint("check the path and who may read it"),
        ),
    }
}

/// The path of a file: text or `{ file = F }`.
pub(super) fn file_path(spot: &Spot<'_>) -> Result<PathBuf, Complaint> {
    match origin(spot, "a path")? {
        Origin::Inline(path) => Ok(spot.reading.files.resolve(spot.node.at.file, &path)),
        Origin::File(path) => Ok(path),
        Origin::Credential(_) | Origin::Env(_) => {
            Err(Complaint::new("a calendar comes from a file"))
        }
    }
}

/// A secret; only refused when empty or not a single line. A short one is warned about.
pub(super) fn remote_secret(spot: &Spot<'_>) -> Result<Secret, Complaint> {
    let origin = origin(spot, "a secret").map_err(|complaint| complaint.hint(SECRET_HINT))?;
    let text = secret::fetch(&origin, spot.reading.env)?;
    if text.is_empty() {
        return Err(Complaint::new("the secret is empty").hint(SECRET_HINT));
    }
    if text.contains(char::is_control) {
        return Err(Complaint::new("the secret is not a single line of text"));
    }
    Ok(Secret::new(text.as_str()))
}

/// The user of basic authentication.
pub(super) fn user_name(spot: &Spot<'_>) -> Result<String, Complaint> {
    let user = text(spot)?;
    if user.contains(':') {
        return Err(Complaint::new(
            "a user name cannot contain a colon in basic authentication",
        ));
    }
    Ok(user)
}

const SECRET_HINT: &str =
    "write text in quotes, { file = \"path\" }, { env = \"NAME\" } or { credential = \"name\" }";

/// Reads text, `{ file = F }`, `{ env = V }` or `{ credential = C }`.
fn origin(spot: &Spot<'_>, wanted: &str) -> Result<Origin, Complaint> {
    if let Value::Text(text) = &spot.node.value {
        return Ok(Origin::Inline(text.clone()));
    }
    let Value::Table(table) = &spot.node.value else {
        return Err(expected(wanted, &spot.node.value));
    };
    let mut entries = table.iter();
    let (Some((key, (_, node))), None) = (entries.next(), entries.next()) else {
        return Err(Complaint::new(format!(
            "{wanted} comes from exactly one place"
        )));
    };
    let Value::Text(value) = &node.value else {
        return Err(Complaint::new(format!("`{key}` must be text")));
    };
    match key.as_str() {
        "file" => Ok(Origin::File(
            spot.reading.files.resolve(node.at.file, value),
        )),
        "env" => Ok(Origin::Env(value.to_string())),
        "credential" => Ok(Origin::Credential(value.to_string())),
        _ => Err(Complaint::new(format!("{wanted} cannot come from `{key}`"))),
    }
}
