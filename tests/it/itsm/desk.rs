//! Conversations with platforms without a network: what is sent goes into a function, what it says comes back.
//!
//! Time is a number. Faults are those that real platforms have: answers that are lost, busy servers, pages for people.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use watchbell::connectors::apply::{Apply, Brought, NoteWanted};
use watchbell::connectors::list::{Changes, ReadNotes};
use watchbell::connectors::profile::Own;
use watchbell::connectors::talk::{Create, Find, Probe, Read, Talk};
use watchbell::connectors::{Answer, Body, Brief, Failure, PROFILES, Profile, Request, Step};
use watchbell::core::ids::IncidentId;
use watchbell::core::incident::StateWord;
use watchbell::core::severity::Priority;
use watchbell::core::ticket::report::RemoteNote;
use watchbell::core::ticket::{Face, Link, Record};
use watchbell::core::time::Timestamp;

use super::server::{Ask, Fault, Platform, Tell};

pub(crate) const BASE: &str = "https://itsm.example";

/// A shipped profile with these settings.
pub(crate) fn profile(name: &str, set: &Value) -> Arc<Profile> {
    let (_, text) = PROFILES.iter().find(|(known, _)| *known == name).unwrap();
    let own = Own {
        set: set.as_object().unwrap().clone(),
        ..Own::default()
    };
    Arc::new(Profile::parse(name, text, &own).unwrap_or_else(|why| panic!("{name}: {why}")))
}

/// What a platform is asked, as it would arrive.
fn arrive(request: &Request) -> Ask {
    let clean = |text: &str| text.replace('\0', "");
    let mut headers: Vec<_> = request
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), clean(value)))
        .collect();
    let body = match &request.body {
        Body::Empty => Vec::new(),
        Body::Json(json) | Body::Multipart(_, json) => {
            // The marks of secrets are written as escapes there.
            json.to_string().replace("\\u0000", "").into_bytes()
        }
        Body::Form(fields) => {
            headers.push(("content-type".into(), "form".into()));
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            for (name, value) in fields {
                form.append_pair(name, &clean(value));
            }
            form.finish().into_bytes()
        }
    };
    if let Body::Multipart(part, _) = &request.body {
        headers.push(("content-type".into(), format!("multipart {part}")));
    }
    let path = percent_encoding::percent_decode_str(&request.path);
    Ask {
        method: request.method.to_string(),
        path: path.decode_utf8_lossy().into_owned(),
        query: request
            .query
            .iter()
            .map(|(name, value)| (name.clone(), clean(value)))
            .collect(),
        headers,
        body,
    }
}

/// A platform with its profile.
pub(crate) struct Desk<P> {
    pub(crate) profile: Arc<Profile>,
    pub(crate) platform: P,
    /// What goes wrong with the next writes.
    pub(crate) faults: Vec<Option<Fault>>,
    pub(crate) requests: usize,
    /// Whether nobody answers at all.
    pub(crate) is_away: bool,
    /// Whether an answer was lost on the way.
    pub(crate) has_lost: bool,
    pub(crate) link: Link,
}

impl<P: Platform> Desk<P> {
    pub(crate) fn new(name: &str, set: &Value, platform: P) -> Self {
        let at = Timestamp::from_millis(1_790_000_000_000);
        let mut link = Link::new(IncidentId::new(7).unwrap(), at, "desk", at);
        link.wanted = face(StateWord::New);
        Self {
            profile: profile(name, set),
            platform,
            faults: Vec::new(),
            requests: 0,
            is_away: false,
            has_lost: false,
            link,
        }
    }

    /// Holds a conversation to its end.
    #[expect(
        clippy::panic_in_result_fn,
        reason = "a fake that is used wrongly ends the test"
    )]
    pub(crate) fn hold<T: Talk>(&mut self, talk: &mut T) -> Result<T::Outcome, Failure> {
        let mut step = talk.next(None);
        for _ in 0..50 {
            match step {
                Step::Done(outcome) => return Ok(outcome),
                Step::Failed(failure) => return Err(failure),
                Step::Send(request) => {
                    self.requests += 1;
                    let Some(answer) = self.answer(&request) else {
                        let why = "no answer".to_owned();
                        return Err(if request.is_write {
                            Failure::Doubtful(why)
                        } else {
                            Failure::Away(why)
                        });
                    };
                    step = talk.next(Some(&answer));
                }
            }
        }
        panic!("{} talks in circles", self.profile.name);
    }

    fn answer(&mut self, request: &Request) -> Option<Answer> {
        if self.is_away {
            return None;
        }
        let ask = arrive(request);
        let fault = if request.is_write && !self.faults.is_empty() {
            self.faults.remove(0)
        } else {
            None
        };
        self.has_lost |= fault.is_some();
        let told = match fault {
            None => self.platform.answer(&ask),
            Some(Fault::LoseAnswer) => {
                self.platform.answer(&ask);
                return None;
            }
            Some(Fault::DropBefore | Fault::Hang { .. } | Fault::Flood(_)) => return None,
            Some(Fault::Status(status)) => Tell::text(status, "<html>busy</html>"),
            Some(Fault::StatusAfter(status)) => {
                self.platform.answer(&ask);
                Tell::text(status, "<html>bad gateway</html>")
            }
            Some(Fault::Limit(seconds)) => {
                Tell::empty(429).with("Retry-After", seconds.to_string())
            }
            Some(Fault::Page) => Tell::text(200, "<html><body>Log in</body></html>"),
            Some(Fault::Expired) => Tell::json(401, &json!({"error": "expired"})),
        };
        Some(Answer {
            status: told.status,
            headers: told
                .headers
                .iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
                .collect(),
            body: told.body.into_bytes(),
        })
    }

    #[expect(
        clippy::panic_in_result_fn,
        reason = "a fake that is used wrongly ends the test"
    )]
    pub(crate) fn create(&mut self) -> Result<Record, Failure> {
        let face = self.link.wanted.clone();
        let mut talk = Create::new(&self.profile, BASE, &self.link, &brief(), &face);
        let made = self.hold(&mut talk)?;
        assert_eq!(made.warning, None, "{}", self.profile.name);
        Ok(made.record)
    }

    pub(crate) fn find(&mut self) -> Result<Vec<Record>, Failure> {
        let mut talk = Find::new(&self.profile, BASE, &self.link.key);
        Ok(self.hold(&mut talk)?.records)
    }

    /// Makes the ticket as the worker does: after an outcome that is not known it looks first.
    pub(crate) fn make(&mut self) {
        let mut is_doubtful = false;
        for _ in 0..20 {
            if is_doubtful
                && let Ok(found) = self.find()
                && let Some(record) = found.into_iter().next()
            {
                self.link.record = Some(record);
                break;
            }
            match self.create() {
                Ok(record) => {
                    self.link.record = Some(record);
                    break;
                }
                Err(Failure::Doubtful(_)) => is_doubtful = true,
                Err(
                    Failure::Limited { .. }
                    | Failure::Login(_)
                    | Failure::Away(_)
                    | Failure::Conflict,
                ) => {}
                Err(failure) => panic!("{}: {failure}", self.profile.name),
            }
        }
        assert!(self.link.record.is_some(), "{}", self.profile.name);
        self.link.sent = Some(face(StateWord::New));
    }

    pub(crate) fn read(&mut self) -> Result<Record, Failure> {
        let record = self.link.record.clone().unwrap();
        let mut talk = Read::new(&self.profile, BASE, &self.link, &record);
        self.hold(&mut talk)
    }

    /// Brings the ticket to a state with these notes as the worker does; says how it ended.
    pub(crate) fn bring(&mut self, state: StateWord, notes: &[(i64, &str)]) -> Brought {
        self.link.wanted.state = Some(state);
        let mut left: Vec<_> = notes
            .iter()
            .map(|(entry, text)| NoteWanted {
                entry: *entry,
                text: (*text).to_owned(),
            })
            .collect();
        let mut is_doubtful = false;
        for _ in 0..20 {
            let notes = (left.clone(), is_doubtful);
            let mut talk = Apply::new(&self.profile, BASE, &self.link, &brief(), notes);
            let held = self.hold(&mut talk);
            left.retain(|note| note.entry > talk.notes_done());
            match held {
                Ok(Brought::Done { record, stuck }) => {
                    self.link.record = Some(record.clone());
                    self.link.sent = Some(self.link.wanted.clone());
                    return Brought::Done { record, stuck };
                }
                Ok(moved) => return moved,
                Err(Failure::Doubtful(_)) => is_doubtful = true,
                Err(
                    Failure::Limited { .. }
                    | Failure::Login(_)
                    | Failure::Away(_)
                    | Failure::Conflict,
                ) => {}
                Err(failure) => panic!("{}: {failure}", self.profile.name),
            }
            // What was written before the answer was lost is no change of theirs.
            if let Ok(record) = self.read() {
                self.link.record = Some(record);
            }
        }
        panic!("{} does not get there", self.profile.name);
    }

    pub(crate) fn notes(&mut self) -> Vec<RemoteNote> {
        let record = self.link.record.clone().unwrap();
        let mut talk = ReadNotes::new(&self.profile, BASE, &self.link, &record);
        self.hold(&mut talk).unwrap()
    }

    pub(crate) fn changed(&mut self) -> Vec<Record> {
        let since = Timestamp::from_millis(1_000_000_000_000);
        let mut talk = Changes::new(&self.profile, BASE, since);
        self.hold(&mut talk).unwrap().records
    }

    pub(crate) fn probe(&mut self) -> Result<Vec<String>, Failure> {
        let mut talk = Probe::new(&self.profile, BASE, "wbl-nobody22222222222222222");
        self.hold(&mut talk)
    }
}

pub(crate) fn face(state: StateWord) -> Face {
    Face {
        state: Some(state),
        priority: Some(Priority::P2),
        assignee: None,
        title: 1,
    }
}

pub(crate) fn brief() -> Brief {
    let mut incident = Map::new();
    incident.insert("number".into(), json!("INC-7"));
    Brief {
        incident: Value::Object(incident),
        title: "disk \"full\" on <db-7> & {{ more }}".to_owned(),
        text: "What happened\nin lines".to_owned(),
        resolution: "It is over.".to_owned(),
        now_ms: 1_790_000_000_000,
        ..Brief::default()
    }
}
