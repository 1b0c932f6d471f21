//! Lists of alerts as clients of Opsgenie's alert API ask for them.
//!
//! Of the service's query language is read what tools send: `field:value` and `field=value` for status, alias, priority,
//! tag, message, entity and source, joined by `AND`; other words are looked for in the alert. What cannot be read is
//! refused, since an answer that ignores half of a question misleads. A client sees the alerts of its own source only.
//! Must not change anything.
//! Source: "Opsgenie Alert API", "Search queries for alerts"; opsgenie/opsgenie-go-sdk-v2 `alert/request.go`.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use axum::http::request::Parts;
use serde_json::{Value, json};

use crate::core::ids::IncidentId;
use crate::core::incident::StateWord;
use crate::core::severity::Severity;
use crate::sources::opsgenie::priority;
use crate::store::query::alerts::{self, AlertFilter, AlertOrder, AlertView};
use crate::store::query::{Page, incidents};

use super::door::Door;
use super::opsgenie::{OpsgenieApi, parameter};
use super::opsgenie_answers::{Refused, alias_of, shown};

/// Alerts of one answer.
const LIMIT_MAX: usize = 100;
const LIMIT: usize = 20;
/// Alerts that are looked at for one answer; the service's own bound of offset and limit.
const LOOKED_AT_MAX: usize = 20_000;
const PAGE: u32 = 500;

/// What a query asks for.
#[derive(Debug, Default)]
struct Wanted {
    filter: AlertFilter,
    alias: Option<String>,
    tags: Vec<String>,
    is_acknowledged: Option<bool>,
    /// Texts that the message, the entity or the source must hold, by field.
    texts: Vec<(&'static str, String)>,
}

impl OpsgenieApi {
    /// One page of the alerts that a query asks for.
    pub(super) async fn list(&self, parts: &Parts) -> Result<Value, Refused> {
        let door = self.door(parts)?;
        let limit = number(parts, "limit")?.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
        let offset = number(parts, "offset")?.unwrap_or(0);
        if offset.saturating_add(limit) > LOOKED_AT_MAX {
            let why = format!("offset and limit must not exceed {LOOKED_AT_MAX} together");
            return Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, &why));
        }
        let found = self.found(&door, parts, offset + limit).await?;
        let acknowledged = self.acknowledged(&found.iter().collect::<Vec<_>>()).await?;
        let page = found.iter().skip(offset);
        let data: Vec<Value> = page
            .map(|view| shown(&door.name, view, &acknowledged))
            .collect();
        let link = |offset: usize| {
            let pairs =
                url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
            let kept = pairs.filter(|(name, _)| !matches!(name.as_ref(), "offset" | "apiKey"));
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(kept);
            query.append_pair("offset", &offset.to_string());
            format!("{}?{}", parts.uri.path(), query.finish())
        };
        let mut paging = json!({"first": link(0)});
        if data.len() == limit
            && let Some(fields) = paging.as_object_mut()
        {
            fields.insert("next".to_owned(), link(offset + limit).into());
        }
        Ok(json!({"data": data, "paging": paging}))
    }

    /// How many alerts a query asks for.
    pub(super) async fn count(&self, parts: &Parts) -> Result<usize, Refused> {
        let door = self.door(parts)?;
        Ok(self.found(&door, parts, LOOKED_AT_MAX).await?.len())
    }

    /// The incidents of these alerts of which somebody has taken notice.
    pub(super) async fn acknowledged(
        &self,
        views: &[&AlertView],
    ) -> Result<BTreeSet<IncidentId>, Refused> {
        let ids: BTreeSet<_> = views
            .iter()
            .filter_map(|view| view.alert.incident)
            .collect();
        let ids: Vec<_> = ids.into_iter().collect();
        let mut reader = self.db.reader().await?;
        let found = incidents::find_all(reader.lend(), &ids).await?;
        let taken = found
            .iter()
            .filter(|view| view.incident.state.word() != StateWord::New);
        Ok(taken.map(|view| view.incident.id).collect())
    }

    /// The alerts that a query asks for, `at_most` of them.
    async fn found(
        &self,
        door: &Door,
        parts: &Parts,
        at_most: usize,
    ) -> Result<Vec<AlertView>, Refused> {
        let mut wanted = read(&parameter(parts, "query"))?;
        wanted.filter.sources = vec![door.name.to_string()];
        let order = match parameter(parts, "sort").as_str() {
            "updatedAt" | "lastOccurredAt" => AlertOrder::LastSeen,
            _ => AlertOrder::Id,
        };
        let mut page = Page {
            limit: PAGE,
            is_newest_first: parameter(parts, "order") != "asc",
            after: None,
        };
        let mut found = Vec::new();
        for _ in 0..LOOKED_AT_MAX / 500 {
            let mut reader = self.db.reader().await?;
            let listed = alerts::list(reader.lend(), &wanted.filter, order, page).await?;
            drop(reader);
            let acknowledged = match wanted.is_acknowledged {
                Some(_) => {
                    self.acknowledged(&listed.items.iter().collect::<Vec<_>>())
                        .await?
                }
                None => BTreeSet::new(),
            };
            let fits = |view: &AlertView| wanted.fits(&door.name, view, &acknowledged);
            found.extend(listed.items.into_iter().filter(fits));
            page.after = listed.next;
            if found.len() >= at_most || page.after.is_none() {
                break;
            }
        }
        found.truncate(at_most);
        Ok(found)
    }
}

impl Wanted {
    fn fits(&self, source: &str, view: &AlertView, taken: &BTreeSet<IncidentId>) -> bool {
        let label = |name: &str| view.labels.get(name).map_or("", String::as_str);
        let is_taken = || view.alert.incident.is_some_and(|id| taken.contains(&id));
        let holds = |(field, text): &(&str, String)| {
            let value = match *field {
                "message" => &view.summary,
                field => label(field),
            };
            value.to_lowercase().contains(&text.to_lowercase())
        };
        self.alias
            .as_deref()
            .is_none_or(|alias| alias == alias_of(source, view))
            && self
                .is_acknowledged
                .is_none_or(|wanted| wanted == is_taken())
            && self.texts.iter().all(holds)
            && self.tags.iter().all(|tag| {
                let mut tags = label("tags").split(", ");
                tags.any(|own| own.eq_ignore_ascii_case(tag))
            })
    }
}

fn read(query: &str) -> Result<Wanted, Refused> {
    let mut wanted = Wanted::default();
    let mut words: Vec<String> = Vec::new();
    for word in words_of(query) {
        if word.eq_ignore_ascii_case("and") {
            continue;
        }
        let Some((field, value)) = word.split_once([':', '=']) else {
            if matches!(word.to_ascii_lowercase().as_str(), "or" | "not")
                || word.contains(['(', '<', '>'])
            {
                return Err(unreadable(&word));
            }
            words.push(word);
            continue;
        };
        take(&mut wanted, field.trim(), value.trim())?;
    }
    if !words.is_empty() {
        wanted.filter.search = Some(words.join(" "));
    }
    Ok(wanted)
}

fn take(wanted: &mut Wanted, field: &str, value: &str) -> Result<(), Refused> {
    match (
        field.to_ascii_lowercase().as_str(),
        value.to_ascii_lowercase().as_str(),
    ) {
        ("status", "open") => wanted.filter.is_firing = Some(true),
        ("status", "closed") => wanted.filter.is_firing = Some(false),
        ("status", "acked") | ("acknowledged", "true") => wanted.is_acknowledged = Some(true),
        ("status", "unacked") | ("acknowledged", "false") => wanted.is_acknowledged = Some(false),
        ("alias", _) => wanted.alias = Some(value.to_owned()),
        ("tag" | "tags", _) => wanted.tags.push(value.to_owned()),
        ("message", _) => wanted.texts.push(("message", value.to_owned())),
        ("entity", _) => wanted.texts.push(("entity", value.to_owned())),
        ("source", _) => wanted.texts.push(("source", value.to_owned())),
        ("priority", _) => {
            let severity: Severity = priority(value).ok_or_else(|| unreadable(value))?;
            wanted.filter.severities.push(severity);
        }
        _ => return Err(unreadable(&format!("{field}: {value}"))),
    }
    Ok(())
}

/// The words of a query: text in quotes belongs together, and so does a field with its value.
fn words_of(query: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut is_quoted = false;
    let mut is_joined = false;
    for letter in query.chars() {
        match letter {
            '"' => is_quoted = !is_quoted,
            ' ' if !is_quoted => {
                // `status: open` is one word.
                let is_open = words.last().is_some_and(|word| word.ends_with([':', '=']));
                is_joined = is_joined && is_open;
            }
            letter => {
                if !is_joined {
                    words.push(String::new());
                }
                is_joined = true;
                if let Some(word) = words.last_mut() {
                    word.push(letter);
                }
            }
        }
    }
    words
}

fn unreadable(word: &str) -> Refused {
    let why = format!(
        "{word:?} is not understood in a query; use status, alias, priority, tag, message, entity and source, joined by AND"
    );
    Refused::new(StatusCode::UNPROCESSABLE_ENTITY, &why)
}

fn number(parts: &Parts, name: &str) -> Result<Option<usize>, Refused> {
    let text = parameter(parts, name);
    if text.is_empty() {
        return Ok(None);
    }
    let why = format!("{name} is no number");
    let number = text.parse().map(Some);
    number.map_err(|_| Refused::new(StatusCode::UNPROCESSABLE_ENTITY, &why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_as_tools_write_them() {
        assert_eq!(
            words_of("status: open AND tag=a \"two words\" x"),
            ["status:open", "AND", "tag=a", "two words", "x"]
        );
        let wanted = read("status=open AND priority: P1 disk full").unwrap();
        assert_eq!(wanted.filter.is_firing, Some(true));
        assert_eq!(wanted.filter.severities, [Severity::Critical]);
        assert_eq!(wanted.filter.search.as_deref(), Some("disk full"));
        for query in [
            "status:odd",
            "createdAt > 5",
            "a OR b",
            "colour:red",
            "priority:P9",
        ] {
            assert!(read(query).is_err(), "{query}");
        }
    }
}
