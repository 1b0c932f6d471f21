//! An answer as a message of a broker: JSON, or plain words with the rest in the topic.
//!
//! `{"token": "...", "do": "acknowledge", "for": "2h"}`; where the broker decides who may publish also
//! `{"incident": "INC-42", "person": "ana", "do": "note", "note": "..."}`. What a topic captures (`+incident`, `+do`)
//! counts where the message does not say it. Must not take an incident from a message whose link is for another one.

use serde_json::{Map, Value};
use smol_str::SmolStr;

use super::{Bad, Reply, Wish, key, note, opened};
use crate::answer_link::LinkKey;
use crate::core::ids::IncidentId;
use crate::core::time::{Span, Timestamp};

/// Whose word counts.
pub struct Rules<'a> {
    /// The key of links.
    pub links: &'a LinkKey,
    /// The time.
    pub now: Timestamp,
    /// Who may name themselves in place of a link; nobody where links are asked for.
    pub is_person: Option<&'a dyn Fn(&str) -> bool>,
}

impl std::fmt::Debug for Rules<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rules").finish_non_exhaustive()
    }
}

/// What was published.
#[derive(Clone, Copy, Debug)]
pub struct Published<'a> {
    /// The payload.
    pub body: &'a [u8],
    /// What the filter captures of the topic.
    pub captures: &'a [(SmolStr, SmolStr)],
}

/// Reads an answer.
///
/// # Errors
/// It cannot be read, its link does not work, or whoever sends it may not.
pub fn read(published: Published<'_>, rules: &Rules<'_>) -> Result<Reply, Bad> {
    let fields = Fields::read(published)?;
    let (incident, who) = fields.permitted(rules)?;
    let given = fields.text(&["note", "text", "comment", "message"]);
    let said = fields.text(&["do", "action", "command", "answer"]);
    let wish = match (&said, &given) {
        (Some(word), _) => Wish::from_word(word).ok_or_else(|| {
            let text = format!("do is {word:?}; it is acknowledge, resolve or note");
            Bad::NotUnderstood(text)
        })?,
        (None, Some(_)) => Wish::Note,
        (None, None) => {
            let text = "it does not say what to do: write do = acknowledge, resolve or note";
            return Err(Bad::NotUnderstood(text.to_owned()));
        }
    };
    let words = given.as_deref().and_then(note);
    if (wish, &words) == (Wish::Note, &None) {
        return Err(Bad::NotUnderstood("there is no note to add".to_owned()));
    }
    let hold_for = fields.text(&["for", "hold_for", "duration"]);
    let hold_for = hold_for.map(|text| span(&text)).transpose()?;
    let id = fields.text(&["id", "message_id", "idempotency_key"]);
    // The same note again is the same message again; the same acknowledgement may be meant after a reopen.
    let key = match (&id, wish) {
        (Some(id), _) => Some(key(&[who.as_bytes(), b"id", id.as_bytes()])),
        (None, Wish::Note) => Some(key(&[who.as_bytes(), b"body", published.body])),
        (None, Wish::Acknowledge | Wish::Resolve) => None,
    };
    Ok(Reply {
        incident,
        who,
        wish,
        note: words,
        hold_for,
        key,
    })
}

/// A length of time like 30m or 2h.
pub(super) fn span(text: &str) -> Result<Span, Bad> {
    let bad = || Bad::NotUnderstood(format!("for is {text:?}; write it like 30m or 2h"));
    let text = text.trim();
    let unit = text.chars().next_back().ok_or_else(bad)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(bad()),
    };
    let count: u32 = text.trim_end_matches(unit).parse().map_err(|_| bad())?;
    Ok(Span::from_secs(i64::from(count).saturating_mul(seconds)))
}

struct Fields {
    said: Map<String, Value>,
}

impl Fields {
    fn read(published: Published<'_>) -> Result<Self, Bad> {
        let text = std::str::from_utf8(published.body);
        let text = text.map_err(|_| Bad::NotUnderstood("it is no text".to_owned()))?;
        let mut said = match serde_json::from_str(text) {
            Ok(Value::Object(said)) => said,
            Ok(Value::String(words)) => Self::of_words(&words),
            Ok(Value::Array(_)) => {
                let text = "it is a list; publish one answer at a time";
                return Err(Bad::NotUnderstood(text.to_owned()));
            }
            Ok(Value::Null | Value::Bool(_) | Value::Number(_)) | Err(_)
                if text.trim_start().starts_with(['{', '[']) =>
            {
                return Err(Bad::NotUnderstood("it is no JSON".to_owned()));
            }
            Ok(Value::Null | Value::Bool(_) | Value::Number(_)) | Err(_) => Self::of_words(text),
        };
        for (name, value) in published.captures {
            let value = Value::String(value.to_string());
            said.entry(name.to_string()).or_insert(value);
        }
        Ok(Self { said })
    }

    /// "ack", "resolve it was the fuse", or any other words.
    fn of_words(words: &str) -> Map<String, Value> {
        let mut said = Map::new();
        let (wish, rest) = super::mail::first_word(words);
        if let Some(word) = wish {
            said.insert("do".to_owned(), Value::from(word));
        }
        if !rest.is_empty() {
            said.insert("note".to_owned(), Value::from(rest));
        }
        said
    }

    /// The first of these that is there.
    fn text(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| match self.said.get(*name)? {
            Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            Value::String(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Array(_)
            | Value::Object(_) => None,
        })
    }

    fn incident(&self) -> Result<Option<IncidentId>, Bad> {
        let Some(text) = self.text(&["incident", "number"]) else {
            return Ok(None);
        };
        let number = text.parse::<i64>().ok().and_then(IncidentId::new);
        let number = number.or_else(|| text.parse().ok());
        let wrong = || Bad::NotUnderstood(format!("{text:?} is no number of an incident"));
        number.ok_or_else(wrong).map(Some)
    }

    /// Which incident, and in whose name.
    fn permitted(&self, rules: &Rules<'_>) -> Result<(IncidentId, SmolStr), Bad> {
        let named = self.incident()?;
        let links = ["token", "link", "answer_url", "url"];
        if let Some(link) = self.text(&links) {
            let about = opened(rules.links, &link, rules.now)?;
            if named.is_some_and(|named| named != about.incident) {
                let text = format!("the link is for {}, not for this incident", about.incident);
                return Err(Bad::NotAllowed(text));
            }
            return Ok((about.incident, about.who));
        }
        let Some(is_person) = rules.is_person else {
            let text = "it has no token: send that of a message's answer_url, or set open = true where the broker decides who may publish";
            return Err(Bad::NotAllowed(text.to_owned()));
        };
        let who = self.text(&["person", "who", "by", "user", "from"]);
        let who = who.ok_or_else(|| {
            Bad::NotUnderstood("it does not say who answers: write person".to_owned())
        })?;
        if !is_person(&who) {
            return Err(Bad::NotAllowed(format!("there is no person {who:?}")));
        }
        let incident = named.ok_or_else(|| {
            Bad::NotUnderstood("it does not say which incident is meant".to_owned())
        })?;
        Ok((incident, SmolStr::from(who)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer_link::Answerable;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn links() -> LinkKey {
        LinkKey::derive(&[3; 32])
    }

    fn about() -> Answerable {
        Answerable {
            incident: IncidentId::new(42).unwrap(),
            who: "ana".into(),
            expires_at: Timestamp::from_millis(2_000_000),
        }
    }

    fn read_it(body: &str, captures: &[(&str, &str)], is_open: bool) -> Result<Reply, Bad> {
        let links = links();
        let captures: Vec<_> = captures
            .iter()
            .map(|(name, value)| (SmolStr::new(name), SmolStr::new(value)))
            .collect();
        let is_person = |name: &str| name == "ben";
        let rules = Rules {
            links: &links,
            now: NOW,
            is_person: is_open.then_some(&is_person),
        };
        let published = Published {
            body: body.as_bytes(),
            captures: &captures,
        };
        read(published, &rules)
    }

    #[test]
    fn a_link_answers_for_its_own_incident_in_the_name_of_its_reader() {
        let token = links().sign(&about());
        for link in [&token, &format!("https://w.example/answer/{token}")] {
            let body = format!(r#"{{"token":"{link}","do":"ack","for":"2h"}}"#);
            let reply = read_it(&body, &[], false).unwrap();
            assert_eq!((reply.incident.get(), &*reply.who), (42, "ana"));
            assert_eq!(reply.wish, Wish::Acknowledge);
            assert_eq!(reply.hold_for, Some(Span::from_hours(2)));
            assert_eq!(reply.key, None);
        }
        let other = format!(r#"{{"token":"{token}","do":"ack","incident":"INC-7"}}"#);
        assert_eq!(
            read_it(&other, &[], true).unwrap_err().reason(),
            "not_allowed"
        );
        let forged = format!(r#"{{"token":"{token}x","do":"ack"}}"#);
        assert_eq!(
            read_it(&forged, &[], true).unwrap_err().reason(),
            "bad_link"
        );
    }

    #[test]
    fn who_names_themselves_must_be_let_and_known() {
        let body = r#"{"incident":"INC-7","person":"ben","do":"resolve","note":"fuse"}"#;
        assert_eq!(
            read_it(body, &[], false).unwrap_err().reason(),
            "not_allowed"
        );
        let reply = read_it(body, &[], true).unwrap();
        assert_eq!((reply.incident.get(), &*reply.who), (7, "ben"));
        assert_eq!(
            (reply.wish, reply.note.as_deref()),
            (Wish::Resolve, Some("fuse"))
        );
        let stranger = body.replace("ben", "eve");
        assert_eq!(
            read_it(&stranger, &[], true).unwrap_err().reason(),
            "not_allowed"
        );
    }

    #[test]
    fn plain_words_do_with_the_rest_in_the_topic() {
        let captures = [("incident", "INC-7"), ("person", "ben")];
        let reply = read_it("ack I am on it", &captures, true).unwrap();
        assert_eq!(reply.wish, Wish::Acknowledge);
        assert_eq!(reply.note.as_deref(), Some("I am on it"));
        let reply = read_it("the pump is hot", &captures, true).unwrap();
        assert_eq!(
            (reply.wish, reply.note.as_deref()),
            (Wish::Note, Some("the pump is hot"))
        );
        assert_eq!(
            reply.key,
            read_it("the pump is hot", &captures, true).unwrap().key
        );
        let captures = [("incident", "7"), ("person", "ben"), ("do", "resolve")];
        assert_eq!(read_it("", &captures, true).unwrap().wish, Wish::Resolve);
    }

    #[test]
    fn what_cannot_be_read_says_so() {
        let captures = [("incident", "INC-7"), ("person", "ben")];
        for bad in [
            "",
            "{",
            "[1]",
            r#"{"do":"explode"}"#,
            r#"{"do":"note"}"#,
            r#"{"do":"ack","for":"x"}"#,
        ] {
            let error = read_it(bad, &captures, true).unwrap_err();
            assert_eq!(error.reason(), "not_understood", "{bad}: {error}");
        }
    }
}
