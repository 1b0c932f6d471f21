//! Holds one conversation with a platform to its end: login, rate, exchanges for the record.
//!
//! Must not send a write twice: a login that has run out is renewed once, everything else is for the caller to judge.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::ConnectorSetup;
use super::gate::Gate;
use crate::connectors::talk::Talk;
use crate::connectors::{Answer, Failure, Request, Step};
use crate::core::ticket::report::Exchange;
use crate::runtime::clock::Clock;
use crate::runtime::pace::Pace;
use crate::wire::itsm::{Itsm, SendError, Shown};

/// Requests of one conversation; a profile that wants more turns in circles.
const REQUESTS_MAX: usize = 200;
/// A token is renewed so long before it ends.
const RENEW_BEFORE: Duration = Duration::from_secs(30);

/// The way to one platform, shared by all conversations with it.
#[derive(Debug)]
pub(super) struct Line {
    setup: ConnectorSetup,
    wire: Itsm,
    clock: Clock,
    pace: Option<Pace>,
    gate: Mutex<Gate>,
    session: tokio::sync::Mutex<Option<(Arc<str>, Option<Instant>)>>,
}

/// One conversation with what was said in it.
#[derive(Debug)]
pub(super) struct Conversation<'a> {
    line: &'a Line,
    /// What was said.
    pub(super) said: Vec<Exchange>,
    /// The last note that arrived although the rest did not.
    pub(super) noted: i64,
    /// Whether a request was held back since the platform is to be left alone.
    pub(super) is_held_back: bool,
    /// Requests with their answers in full, secrets masked, for people who try it out.
    pub(super) shown: Option<Vec<(Shown, String)>>,
}

impl Line {
    /// Makes ready.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub(super) fn new(setup: ConnectorSetup, clock: Clock) -> Result<Self, String> {
        Ok(Self {
            pace: setup.rate.map(Pace::new),
            wire: Itsm::new(setup.wire.clone())?,
            setup,
            clock,
            gate: Mutex::default(),
            session: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn gate(&self) -> Gate {
        *self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn change_gate(&self, change: impl FnOnce(&mut Gate)) {
        change(&mut self.gate.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Begins a conversation.
    pub(super) fn begin(&self) -> Conversation<'_> {
        Conversation {
            line: self,
            said: Vec::new(),
            noted: 0,
            is_held_back: false,
            shown: None,
        }
    }

    async fn paced(&self) {
        if let Some(pace) = &self.pace {
            pace.turn().await;
        }
    }
}

impl Conversation<'_> {
    /// Holds it to its end.
    ///
    /// # Errors
    /// It came to nothing, or it is not known to what.
    pub(super) async fn hold<T: Talk>(&mut self, talk: &mut T) -> Result<T::Outcome, Failure> {
        let mut step = talk.next(None);
        for _ in 0..REQUESTS_MAX {
            match step {
                Step::Done(outcome) => return Ok(outcome),
                Step::Failed(failure) => {
                    self.blame(&failure);
                    return Err(failure);
                }
                Step::Send(request) => {
                    let answer = self.ask(&request).await?;
                    step = talk.next(Some(&answer));
                }
            }
        }
        Err(Failure::Broken(format!(
            "the conversation did not end after {REQUESTS_MAX} requests"
        )))
    }

    /// Writes down what was wrong with the last answer.
    fn blame(&mut self, failure: &Failure) {
        if let Some(last) = self.said.last_mut() {
            let text = self.line.wire.mask_secrets(&failure.to_string());
            last.error = Some(text.chars().take(500).collect::<String>().into());
        }
    }

    async fn ask(&mut self, request: &Request) -> Result<Answer, Failure> {
        if let Some(until) = self.line.gate().closed_until(Instant::now()) {
            self.is_held_back = true;
            let left = until.saturating_duration_since(Instant::now()).as_secs();
            return Err(Failure::Limited {
                after_s: Some(left.saturating_add(1)),
            });
        }
        if self.line.setup.is_dry_run && request.is_write {
            let headers = self.line.setup.login.headers()?;
            let shown = self.line.wire.show(request, &headers);
            let name = &self.line.setup.name;
            log::info!(connector = name.as_str(); "connector {name} would send: {} {}", shown.line, shown.body);
            if let Some(all) = &mut self.shown {
                all.push((shown, "not sent".to_owned()));
            }
            return Err(Failure::Refused("dry run: nothing is written".to_owned()));
        }
        let answer = self.authenticated(request).await?;
        let needs_session = self.line.setup.login.needs_session();
        if answer.status != 401 || !needs_session {
            return Ok(answer);
        }
        // A refused login did nothing, so asking again with a fresh token is safe.
        *self.line.session.lock().await = None;
        self.authenticated(request).await
    }

    async fn authenticated(&mut self, request: &Request) -> Result<Answer, Failure> {
        let session = self.session().await?;
        let headers = self.line.setup.login.headers()?;
        self.send(request, &headers, session.as_deref()).await
    }

    /// The token that requests carry, asked for if there is none.
    async fn session(&mut self) -> Result<Option<Arc<str>>, Failure> {
        let line = self.line;
        let login = &line.setup.login;
        let Some(request) = login.request()? else {
            return Ok(None);
        };
        let mut held = line.session.lock().await;
        let now = Instant::now();
        if let Some((token, until)) = held.as_ref()
            && until.is_none_or(|until| until > now)
        {
            return Ok(Some(Arc::clone(token)));
        }
        let answer = self.send(&request, &[], None).await?;
        let session = login.session(&answer)?;
        let until = session.expires_s.map(|seconds| {
            (now + Duration::from_secs(seconds))
                .checked_sub(RENEW_BEFORE)
                .unwrap_or(now)
        });
        let token: Arc<str> = session.token.into();
        *held = Some((Arc::clone(&token), until));
        Ok(Some(token))
    }

    async fn send(
        &mut self,
        request: &Request,
        headers: &[(String, String)],
        session: Option<&str>,
    ) -> Result<Answer, Failure> {
        let line = self.line;
        line.paced().await;
        let (at, started) = (line.clock.now(), Instant::now());
        let sent = line.wire.send(request, headers, session).await;
        let (status, error) = match &sent {
            Ok(answer) => (answer.status, None),
            Err(error) => (0, Some(line.wire.mask_secrets(&error.to_string()).into())),
        };
        let path = request.path.split('?').next().unwrap_or_default();
        self.said.push(Exchange {
            at,
            step: request.step.clone(),
            method: request.method.clone(),
            path: path.replace('\0', "").into(),
            status,
            took_ms: i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX),
            error,
        });
        if let Some(shown) = &mut self.shown {
            let answer = match &sent {
                Ok(answer) => format!(
                    "HTTP {}\n{}",
                    answer.status,
                    String::from_utf8_lossy(&answer.body)
                ),
                Err(error) => error.to_string(),
            };
            let short: String = answer.chars().take(4_000).collect();
            let short = line.wire.mask_secrets(&short);
            shown.push((line.wire.show(request, headers), short));
        }
        sent.map_err(|error| match error {
            SendError::NotSent(why) => Failure::Away(why),
            SendError::Lost(why) if request.is_write => Failure::Doubtful(why),
            SendError::Lost(why) => Failure::Away(why),
        })
    }
}
