//! Answers from brokers and mailboxes: read with the settings of the moment, carried out by the API.
//!
//! Must not lose an answer that cannot be carried out now: it waits where it is.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use smol_str::SmolStr;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::answer_link::LinkKey;
use crate::api::{self, ApiState};
use crate::config::Settings;
use crate::config::answers::{MailboxSettings, MailboxTls};
use crate::config::targets::TargetKind;
use crate::ingest::mqtt::{NotTaken, Taker};
use crate::ingest::{Incoming, Ingest};
use crate::replies::mailbox::{self, MailboxSetup};
use crate::replies::{Bad, Reply, mail, message};
use crate::runtime::clock::Clock;
use crate::sources::Envelope;

use super::answer_board::AnswerBoard;
use super::brokers::Takers;
use super::wiring::until_other;

/// Before the name of a way that answers come by, where sources have theirs.
pub(crate) const PREFIX: &str = "answers:";
/// The shortest wait after a mailbox failed; then as often as it is looked into.
const RETRY: Duration = Duration::from_secs(5);

/// What answers need.
#[derive(Clone)]
pub(super) struct Desk {
    api: ApiState,
    ingest: Ingest,
    links: LinkKey,
    clock: Clock,
    settings: watch::Receiver<Arc<Settings>>,
    board: AnswerBoard,
}

impl Desk {
    /// Who reads answers.
    pub(super) fn new(
        api: ApiState,
        links: LinkKey,
        board: AnswerBoard,
        (ingest, clock, settings): (&Ingest, &Clock, &watch::Receiver<Arc<Settings>>),
    ) -> Self {
        board.open(settings.clone());
        Self {
            api,
            ingest: ingest.clone(),
            links,
            clock: clock.clone(),
            settings: settings.clone(),
            board,
        }
    }

    /// Who takes the answers of each broker.
    pub(super) fn takers(&self) -> Takers {
        let desk = self.clone();
        Arc::new(move |name| {
            let own = name.strip_prefix(PREFIX)?.to_owned();
            let link = desk.board.link(&own);
            // One after the other, as they were published.
            let order = Arc::new(tokio::sync::Mutex::new(()));
            let desk = desk.clone();
            let take = move |incoming: Incoming| -> crate::ingest::mqtt::Taken {
                let (desk, own, order) = (desk.clone(), own.clone(), Arc::clone(&order));
                Box::pin(async move {
                    let _turn = order.lock().await;
                    let taken = match desk.published(&own, &incoming) {
                        Ok(reply) => desk.give(&own, reply).await,
                        Err(bad) => Err(not_taken(&bad)),
                    };
                    desk.note(&own, &taken);
                    taken
                })
            };
            Some(Taker {
                link,
                take: Arc::new(take),
            })
        })
    }

    /// Reads what was published.
    fn published(&self, name: &str, incoming: &Incoming) -> Result<Reply, Bad> {
        let settings = Arc::clone(&self.settings.borrow());
        let brokers = &settings.answers.brokers;
        let is_open = brokers
            .iter()
            .any(|broker| broker.name == name && broker.is_open);
        let is_person = |name: &str| settings.on_call.people.contains_key(name);
        let published = message::Published {
            body: &incoming.body,
            captures: &incoming.envelope.captures,
        };
        let rules = message::Rules {
            links: &self.links,
            now: self.clock.now(),
            is_person: is_open.then_some(&is_person),
        };
        message::read(published, &rules)
    }

    /// Carries an answer out. What the incident's state refuses is done with: nobody is there to be told.
    async fn give(&self, way: &str, reply: Reply) -> Result<(), NotTaken> {
        let (incident, who) = (reply.incident, reply.who.clone());
        match api::answers::give(&self.api, reply).await {
            Ok(Ok(said)) => {
                log::info!(incident:% = incident; "{who} answered by {way}: {incident}: {said}");
                Ok(())
            }
            Ok(Err(why)) => {
                log::info!(incident:% = incident; "an answer of {who} by {way} to {incident} came to nothing: {why}");
                Ok(())
            }
            Err(problem) if problem.status().is_client_error() => Err(NotTaken::Bad {
                reason: "refused",
                detail: problem.detail().to_owned(),
            }),
            Err(problem) => Err(NotTaken::Later(problem.detail().to_owned())),
        }
    }

    /// Notes how an answer ended, unless it comes again.
    fn note(&self, way: &str, taken: &Result<(), NotTaken>) {
        let is_carried_out = match taken {
            Ok(()) => true,
            Err(NotTaken::Bad { .. }) => false,
            Err(NotTaken::Later(_)) => return,
        };
        self.board.came(way, is_carried_out, self.clock.now());
    }

    /// Looks into the mailboxes until it is told to stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut settings = self.settings.clone();
        while !stop.is_cancelled() {
            let mailboxes = settings.borrow_and_update().answers.mailboxes.clone();
            let (mut looking, ended) = (JoinSet::new(), stop.child_token());
            for mailbox in &mailboxes {
                let (desk, mailbox) = (self.clone(), mailbox.clone());
                looking.spawn(desk.watch(mailbox, ended.clone()));
            }
            until_other(&mut settings, &stop, |it| it.answers.mailboxes != mailboxes).await;
            ended.cancel();
            while looking.join_next().await.is_some() {}
        }
    }

    async fn watch(self, mailbox: MailboxSettings, stop: CancellationToken) {
        let (name, setup) = (mailbox.name.clone(), setup(&mailbox));
        let every = super::wiring::duration(mailbox.every);
        let (desk, own) = (self.clone(), name.clone());
        let take = move |raw: Vec<u8>| -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
            let (desk, own) = (desk.clone(), own.clone());
            Box::pin(async move { desk.mailed(&own, raw).await })
        };
        let mut is_told = false;
        loop {
            let look = mailbox::look(&setup, &take);
            let Some(looked) = stop.run_until_cancelled(look).await else {
                return;
            };
            let trouble = looked.as_ref().err().map(String::as_str);
            self.board.looked(&name, trouble, self.clock.now());
            let wait = match looked {
                Ok(_) => {
                    if is_told {
                        log::info!("the mailbox {name} can be read again");
                    }
                    is_told = false;
                    every
                }
                Err(why) => {
                    if !is_told {
                        log::warn!(
                            "the mailbox {name} at {} cannot be read: {why}; it is tried again and again",
                            mailbox.host
                        );
                    }
                    is_told = true;
                    every.max(RETRY)
                }
            };
            let pause = stop.run_until_cancelled(tokio::time::sleep(wait));
            if pause.await.is_none() {
                return;
            }
        }
    }

    /// Takes one mail; an error leaves it where it is, for later.
    async fn mailed(&self, name: &str, raw: Vec<u8>) -> Result<(), String> {
        let taken = match self.read_mail(&raw) {
            Ok(mail::Mail::Ignored(why)) => {
                log::info!("a mail in {name} was passed over: {why}");
                return Ok(());
            }
            Ok(mail::Mail::Answer(reply)) => self.give(name, reply).await,
            Err(bad) => Err(not_taken(&bad)),
        };
        self.note(name, &taken);
        let (reason, detail) = match taken {
            Ok(()) => return Ok(()),
            Err(NotTaken::Later(why)) => return Err(why),
            Err(NotTaken::Bad { reason, detail }) => (reason, detail),
        };
        let message = Incoming {
            body: raw.into(),
            content_type: Some("message/rfc822".to_owned()),
            envelope: Envelope::default(),
        };
        let source = format!("{PREFIX}{name}");
        let kept = self.ingest.keep_letter(&source, (reason, detail), &message);
        kept.await.map_err(|error| error.to_string())
    }

    fn read_mail(&self, raw: &[u8]) -> Result<mail::Mail, Bad> {
        let settings = Arc::clone(&self.settings.borrow());
        let rules = mail::Rules {
            links: &self.links,
            now: self.clock.now(),
            who: &|address| whose(&settings, address),
            is_own: &|address| is_own(&settings, address),
        };
        mail::read(raw, &rules)
    }
}

/// What cannot be carried out, for the dead letters.
fn not_taken(bad: &Bad) -> NotTaken {
    NotTaken::Bad {
        reason: bad.reason(),
        detail: bad.to_string(),
    }
}

fn mail_targets(
    settings: &Settings,
) -> impl Iterator<Item = &crate::config::targets::TargetSettings> {
    let targets = settings.targets.iter();
    targets.filter(|target| target.kind == TargetKind::Email)
}

/// The address in `Ana <ana@example.org>`, in lower case.
fn bare(address: &str) -> String {
    let inside = address
        .rsplit_once('<')
        .and_then(|(_, rest)| rest.split_once('>'));
    let bare = inside.map_or(address, |(bare, _)| bare);
    bare.trim().to_ascii_lowercase()
}

/// Whose an address is: a person's, or one that a target is sent to.
fn whose(settings: &Settings, address: &str) -> Option<SmolStr> {
    let is_mail = |name: &str| mail_targets(settings).any(|target| target.name == name);
    let person = settings.on_call.people.values().find(|person| {
        let mut ways = person.contacts.iter().map(|contact| &contact.way);
        ways.any(|way| is_mail(&way.target) && bare(&way.recipient) == address)
    });
    if let Some(person) = person {
        return Some(person.name.clone());
    }
    let mut told = mail_targets(settings).flat_map(|target| &target.to);
    told.any(|to| bare(to) == address)
        .then(|| SmolStr::new(address))
}

fn is_own(settings: &Settings, address: &str) -> bool {
    mail_targets(settings)
        .filter_map(|target| target.from.as_deref())
        .any(|from| bare(from) == address)
}

/// How a mailbox is spoken to.
pub(crate) fn setup(mailbox: &MailboxSettings) -> MailboxSetup {
    MailboxSetup {
        host: mailbox.host.clone(),
        port: mailbox.port,
        tls: match mailbox.tls {
            MailboxTls::Wrapped => mailbox::Tls::Wrapped,
            MailboxTls::Started => mailbox::Tls::Started,
            MailboxTls::Plain => mailbox::Tls::Plain,
        },
        ca: mailbox.ca.clone(),
        user: mailbox.user.clone(),
        password: mailbox.password.expose().to_owned(),
        folder: mailbox.folder.clone(),
        deletes: mailbox.deletes,
        allow_private: mailbox.allow_private,
    }
}
