//! An answer as a mail: which incident, who, and what is said in it.
//!
//! The incident stands in the ids of the thread, which we sign, or in the link of a quoted message. Programs that answer
//! by themselves are not listened to. Must not believe a sender whose address belongs to nobody known.

use std::borrow::Cow;

use mailparse::{MailAddr, MailHeaderMap as _, ParsedMail, addrparse_header, parse_mail};
use smol_str::SmolStr;

use super::{Bad, Reply, Wish, key, note, opened};
use crate::answer_link::{LinkKey, PATH};
use crate::core::ids::IncidentId;
use crate::core::time::{Span, Timestamp};

/// Parts of a mail that are looked at for its text.
const PARTS_MAX: usize = 50;
/// Where what follows is the mail that is answered.
const ORIGINAL: [&str; 5] = [
    "-----original message-----",
    "-----ursprüngliche nachricht-----",
    "________________________________",
    "begin forwarded message:",
    "sent from my ",
];
/// Lines that begin the header of a quoted mail in programs that quote without marks.
const QUOTED_FROM: [&str; 4] = ["from: ", "von: ", "de : ", "*from:* "];
const QUOTED_SENT: [&str; 6] = ["sent: ", "gesendet: ", "date: ", "datum: ", "to: ", "an: "];
/// Where what follows is quoted, in HTML.
const QUOTED_HTML: [&str; 5] = [
    "<blockquote",
    "class=\"gmail_quote",
    "id=\"divrplyfwdmsg",
    "id=\"appendonsend",
    "class=\"moz-cite-prefix",
];

/// Whose word counts.
pub struct Rules<'a> {
    /// The key of links and threads.
    pub links: &'a LinkKey,
    /// The time.
    pub now: Timestamp,
    /// Whose an address is, in lower case.
    pub who: &'a dyn Fn(&str) -> Option<SmolStr>,
    /// Whether an address is ours.
    pub is_own: &'a dyn Fn(&str) -> bool,
}

impl std::fmt::Debug for Rules<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rules").finish_non_exhaustive()
    }
}

/// What a mail is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mail {
    /// An answer.
    Answer(Reply),
    /// Nothing that a person answers an incident with, and why not.
    Ignored(&'static str),
}

/// Reads a mail.
///
/// # Errors
/// It is about an incident, but says nothing, or is from nobody who may answer.
pub fn read(raw: &[u8], rules: &Rules<'_>) -> Result<Mail, Bad> {
    let Ok(mail) = parse_mail(raw) else {
        return Ok(Mail::Ignored("it is no mail"));
    };
    if let Some(why) = automatic(&mail) {
        return Ok(Mail::Ignored(why));
    }
    let Some(from) = address(&mail) else {
        return Ok(Mail::Ignored("it has no sender"));
    };
    if (rules.is_own)(&from) {
        return Ok(Mail::Ignored("it is from ourselves"));
    }
    let text = text_of(&mail);
    let Some(incident) = incident_of(&mail, &text, rules)? else {
        return Ok(Mail::Ignored("it answers no message of ours"));
    };
    let who = (rules.who)(&from).ok_or_else(|| {
        Bad::NotAllowed(format!(
            "{from} is the address of no person and no target; it may not answer for {incident}"
        ))
    })?;
    let said = Said::read(&text.own);
    if said.wish == Wish::Note && said.note.is_none() {
        let text = format!("the mail about {incident} has no text of its own");
        return Err(Bad::NotUnderstood(text));
    }
    let id = mail.headers.get_first_value("Message-ID");
    let id = id.map_or(Cow::Borrowed(raw), |id| Cow::Owned(id.into_bytes()));
    Ok(Mail::Answer(Reply {
        incident,
        key: Some(key(&[who.as_bytes(), b"mail", &id])),
        who,
        wish: said.wish,
        note: said.note,
        hold_for: said.hold_for,
    }))
}

/// Why a mail is not from a person, if it is not.
fn automatic(mail: &ParsedMail<'_>) -> Option<&'static str> {
    let value = |name| mail.headers.get_first_value(name);
    let value = |name| value(name).map(|value| value.trim().to_ascii_lowercase());
    if value("Auto-Submitted").is_some_and(|value| !value.starts_with("no")) {
        return Some("it was sent by a program");
    }
    let bulk = ["bulk", "junk", "list", "auto_reply"];
    if value("Precedence").is_some_and(|value| bulk.contains(&value.as_str())) {
        return Some("it was sent in bulk");
    }
    let marks = ["X-Autoreply", "X-Autorespond", "X-Auto-Reply", "List-Id"];
    if marks.into_iter().any(|name| value(name).is_some()) {
        return Some("it was sent by a program");
    }
    if value("Return-Path").is_some_and(|value| value == "<>")
        || mail.ctype.mimetype == "multipart/report"
    {
        return Some("it is a report of a mail server");
    }
    None
}

/// The sender's address in lower case.
fn address(mail: &ParsedMail<'_>) -> Option<String> {
    let header = mail.headers.get_first_header("From")?;
    let list = addrparse_header(header).ok()?;
    match list.first()? {
        // Two senders are nobody.
        MailAddr::Single(one) if list.len() == 1 => Some(one.addr.trim().to_ascii_lowercase()),
        MailAddr::Single(_) | MailAddr::Group(_) => None,
    }
}

fn incident_of(
    mail: &ParsedMail<'_>,
    text: &Text,
    rules: &Rules<'_>,
) -> Result<Option<IncidentId>, Bad> {
    let headers = ["In-Reply-To", "References"];
    let ids = headers
        .into_iter()
        .filter_map(|name| mail.headers.get_first_value(name));
    let ids: Vec<String> = ids.collect();
    let mut threads = ids
        .iter()
        .flat_map(|value| value.split(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | ',')))
        .filter_map(|id| rules.links.read_thread(id.split_once('@')?.0));
    if let Some(incident) = threads.next_back() {
        return Ok(Some(incident));
    }
    // The link of the message that is quoted, or was copied.
    let Some((_, rest)) = text.whole.split_once(PATH) else {
        return Ok(None);
    };
    let is_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let end = rest.find(|c: char| !is_token(c)).unwrap_or(rest.len());
    let token = rest.get(..end).unwrap_or_default();
    Ok(Some(opened(rules.links, token, rules.now)?.incident))
}

/// The words of a mail: those of its sender, and with what is quoted.
struct Text {
    own: String,
    whole: String,
}

fn text_of(mail: &ParsedMail<'_>) -> Text {
    let body = |kind: &str| {
        let mut parts = mail.parts().take(PARTS_MAX);
        let part = parts.find(|part| part.ctype.mimetype == kind)?;
        let body = part.get_body().ok()?;
        (!body.trim().is_empty()).then_some(body)
    };
    if let Some(plain) = body("text/plain") {
        return Text {
            own: unquoted(&plain),
            whole: plain,
        };
    }
    let html = body("text/html").unwrap_or_default();
    let lower = html.to_ascii_lowercase();
    let cut = QUOTED_HTML.iter().filter_map(|mark| lower.find(mark)).min();
    // A mark inside of a tag: the tag goes as well.
    let own = html.get(..cut.unwrap_or(html.len())).unwrap_or_default();
    let own = match (cut, own.rfind('<'), own.rfind('>')) {
        (Some(_), Some(open), close) if close.is_none_or(|close| close < open) => {
            own.get(..open).unwrap_or_default()
        }
        _ => own,
    };
    Text {
        own: unquoted(&plain_of(own)),
        whole: html,
    }
}

/// The text of a piece of HTML.
fn plain_of(html: &str) -> String {
    let mut plain = String::new();
    let mut skipped: Option<&str> = None;
    for (number, piece) in html.split('<').enumerate() {
        let (tag, text) = match (number, piece.split_once('>')) {
            (0, _) => ("", piece),
            (_, Some(parts)) => parts,
            (_, None) => continue,
        };
        let tag = tag.to_ascii_lowercase();
        let name = tag.split_whitespace().next().unwrap_or_default();
        let breaks = ["br", "br/", "p", "/p", "div", "/div", "li", "tr"];
        match name {
            "style" | "script" | "head" | "title" => {
                skipped = skipped.or(match name {
                    "style" => Some("/style"),
                    "script" => Some("/script"),
                    "head" => Some("/head"),
                    _ => Some("/title"),
                });
            }
            _ if skipped == Some(name) => skipped = None,
            _ if breaks.contains(&name) => plain.push('\n'),
            _ => {}
        }
        if skipped.is_none() {
            plain.push_str(text);
        }
    }
    let entities = [
        ("&nbsp;", " "),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ];
    entities
        .iter()
        .fold(plain, |text, (from, to)| text.replace(from, to))
}

/// The lines that the sender wrote: no quotes with what introduces them, no signature.
fn unquoted(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut own: Vec<&str> = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let trimmed = line.trim();
        let lower = trimmed.to_lowercase();
        let starts = |marks: &[&str], line: &str| marks.iter().any(|mark| line.starts_with(mark));
        let next = lines
            .get(number.saturating_add(1))
            .map(|it| it.trim().to_lowercase());
        let is_head =
            starts(&QUOTED_FROM, &lower) && next.is_some_and(|next| starts(&QUOTED_SENT, &next));
        if starts(&ORIGINAL, &lower) || is_head || *line == "-- " || *line == "--" {
            break;
        }
        if trimmed.starts_with('>') {
            // "On Monday, ... wrote:", perhaps over two lines.
            while own.last().is_some_and(|last| last.trim().is_empty()) {
                own.pop();
            }
            if own.last().is_some_and(|last| last.trim().ends_with(':')) {
                own.pop();
                if own
                    .last()
                    .is_some_and(|last| last.trim().starts_with("On "))
                {
                    own.pop();
                }
            }
            continue;
        }
        own.push(line);
    }
    own.join("\n").trim().to_owned()
}

/// What words say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) wish: Wish,
    pub(super) hold_for: Option<Span>,
    pub(super) note: Option<Box<str>>,
}

impl Said {
    /// "ack", "ack 2h", "resolve it was the fuse"; all else is a note.
    fn read(text: &str) -> Self {
        let (word, rest) = first_word(text);
        let wish = word.and_then(Wish::from_word).unwrap_or(Wish::Note);
        let (first, behind) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let hold_for = super::message::span(first.trim_matches('.'))
            .ok()
            .filter(|_| wish == Wish::Acknowledge);
        Self {
            wish,
            note: note(if hold_for.is_some() { behind } else { rest }),
            hold_for,
        }
    }
}

/// The word that a text begins with, if it says what to do, and what follows it.
pub(super) fn first_word(text: &str) -> (Option<&'static str>, &str) {
    let text = text.trim();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    let word = word.trim_matches(|c: char| !c.is_alphanumeric());
    let known = match Wish::from_word(word) {
        Some(Wish::Acknowledge) => "acknowledge",
        Some(Wish::Resolve) => "resolve",
        Some(Wish::Note) | None => return (None, text),
    };
    (Some(known), rest.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer_link::Answerable;

    fn links() -> LinkKey {
        LinkKey::derive(&[3; 32])
    }

    fn incident() -> IncidentId {
        IncidentId::new(42).unwrap()
    }

    fn read_it(raw: &str) -> Result<Mail, Bad> {
        let links = links();
        read(
            raw.as_bytes(),
            &Rules {
                links: &links,
                now: Timestamp::from_millis(1_000_000),
                who: &|address| (address == "ana@example.org").then(|| "ana".into()),
                is_own: &|address| address == "watchbell@example.org",
            },
        )
    }

    /// A mail of Ana's in the thread, with more headers.
    fn mail(headers: &str, body: &str) -> String {
        let thread = links().thread(incident());
        format!(
            "From: Ana Lee <Ana@Example.org>\r\nTo: watchbell@example.org\r\nMessage-ID: <1@mua>\r\n\
             In-Reply-To: <d9@example.org>\r\nReferences: <{thread}@example.org>\r\n <d9@example.org>\r\n{headers}\r\n{body}"
        )
    }

    fn reply(raw: &str) -> Reply {
        match read_it(raw) {
            Ok(Mail::Answer(reply)) => reply,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_word_says_what_to_do_and_quotes_are_not_read() {
        let body = "Ack, I am on it.\r\n\r\nOn Mon, Watchbell <w@example.org> wrote:\r\n> resolve\r\n> INC-42\r\n";
        let found = reply(&mail("", body));
        assert_eq!((found.incident, &*found.who), (incident(), "ana"));
        assert_eq!(found.wish, Wish::Acknowledge);
        assert_eq!(found.note.as_deref(), Some("I am on it."));
        let below =
            "On Mon, Watchbell wrote:\r\n> ack\r\n> more\r\n\r\nresolved: fuse\r\n-- \r\nAna\r\n";
        let found = reply(&mail("", below));
        assert_eq!(
            (found.wish, found.note.as_deref()),
            (Wish::Resolve, Some("fuse"))
        );
        let outlook = "Power is back?\r\n\r\nFrom: Watchbell\r\nSent: Monday\r\nresolve\r\n";
        let found = reply(&mail("", outlook));
        assert_eq!(
            (found.wish, found.note.as_deref()),
            (Wish::Note, Some("Power is back?"))
        );
        let held = reply(&mail("", "ACK 2h\r\n"));
        assert_eq!(
            (held.wish, held.hold_for, held.note),
            (Wish::Acknowledge, Some(Span::from_hours(2)), None)
        );
    }

    #[test]
    fn html_and_encodings_are_read() {
        let html = "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n";
        let body = "<html><head><style>ack</style></head><body><div>resolve&nbsp;K=C3=BChlung</div><div class=3D\"gmail_quote\">ack <a>x</a></div></body></html>\r\n";
        let found = reply(&mail(html, body));
        assert_eq!(
            (found.wish, found.note.as_deref()),
            (Wish::Resolve, Some("Kühlung"))
        );
        let both = "Content-Type: multipart/alternative; boundary=b\r\n";
        let body = "--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nYWNrCg==\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>resolve</p>\r\n--b--\r\n";
        assert_eq!(reply(&mail(both, body)).wish, Wish::Acknowledge);
    }

    #[test]
    fn programs_strangers_and_other_threads_do_nothing() {
        for headers in [
            "Auto-Submitted: auto-replied\r\n",
            "Precedence: bulk\r\n",
            "X-Autoreply: yes\r\n",
            "Return-Path: <>\r\n",
            "List-Id: <ops.example.org>\r\n",
            "Content-Type: multipart/report; boundary=b\r\n",
        ] {
            let read = read_it(&mail(headers, "ack\r\n")).unwrap();
            assert!(matches!(read, Mail::Ignored(_)), "{headers}: {read:?}");
        }
        let own = mail("", "ack\r\n").replace("Ana@Example.org", "watchbell@example.org");
        assert!(matches!(read_it(&own).unwrap(), Mail::Ignored(_)));
        let eve = mail("", "ack\r\n").replace("Ana@Example.org", "eve@example.org");
        assert_eq!(read_it(&eve).unwrap_err().reason(), "not_allowed");
        let forged = mail("", "ack\r\n").replace("INC-42.", "INC-43.");
        assert!(matches!(read_it(&forged).unwrap(), Mail::Ignored(_)));
        let empty = mail("", "\r\n> ack\r\n");
        assert_eq!(read_it(&empty).unwrap_err().reason(), "not_understood");
    }

    #[test]
    fn the_link_in_what_is_quoted_stands_in_for_the_thread() {
        let about = Answerable {
            incident: incident(),
            who: "ops".into(),
            expires_at: Timestamp::from_millis(2_000_000),
        };
        let link = links().url("https://w.example", &about);
        let raw = format!("From: ana@example.org\r\n\r\nresolve\r\n> Answer: {link}\r\n");
        let found = reply(&raw);
        assert_eq!(
            (found.incident, &*found.who, found.wish),
            (incident(), "ana", Wish::Resolve)
        );
        let raw = raw.replace(&link, &format!("{link}x"));
        assert_eq!(read_it(&raw).unwrap_err().reason(), "bad_link");
    }
}
