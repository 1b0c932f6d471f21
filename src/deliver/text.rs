//! What people read: the values that texts are made of, the default text, and the operator's own.
//!
//! A template that fails becomes the default text, and that one cannot fail: people are told in any case. Must not hold
//! a secret.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use jiff::tz::TimeZone;
use minijinja::{Environment, UndefinedBehavior, Value as Jinja};
use serde_json::{Value, json};

use crate::core::tell::event::Event;
use crate::core::time::Timestamp;

use super::{Parcel, rfc3339};

/// The text that is used unless the operator writes another one.
const DEFAULT: &str = include_str!("../../config/texts/plain.txt");
/// Steps of one template.
const FUEL: u64 = 200_000;
/// Characters of a text.
const TEXT_MAX: usize = 16_000;
/// Characters of a headline.
const HEADLINE_MAX: usize = 400;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_fuel(Some(FUEL));
    environment
});

/// JSON as values of a template.
pub fn jinja(value: &Value) -> Jinja {
    match value {
        Value::Null => Jinja::from(()),
        Value::Bool(flag) => Jinja::from(*flag),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Jinja::from(whole),
            (None, float) => Jinja::from(float.unwrap_or_default()),
        },
        Value::String(text) => Jinja::from(text.as_str()),
        Value::Array(items) => items.iter().map(jinja).collect(),
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields =
                fields.map(|(name, value)| (Arc::<str>::from(name.as_str()), jinja(value)));
            Jinja::from(fields.collect::<BTreeMap<Arc<str>, Jinja>>())
        }
    }
}

/// Sets a field of an object.
pub fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}

/// A text among the fields of an object.
fn word<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

/// Renders a template with values.
///
/// # Errors
/// What is wrong with it.
pub fn render(template: &str, values: &Jinja) -> Result<String, String> {
    ENVIRONMENT
        .render_str(template, values.clone())
        .map_err(|error| format!("{error:#}"))
}

/// Evaluates an expression with values.
///
/// # Errors
/// What is wrong with it.
pub fn is_true(expression: &str, values: &Jinja) -> Result<bool, String> {
    let compiled = ENVIRONMENT
        .compile_expression(expression)
        .map_err(|error| error.to_string())?;
    let value = compiled
        .eval(values.clone())
        .map_err(|error| error.to_string())?;
    Ok(value.is_true())
}

/// How a target wants its texts.
#[derive(Clone, Debug)]
pub struct TextSetup {
    /// Where people reach Watchbell, without a slash at its end.
    pub external_url: Option<String>,
    /// The reader's time zone.
    pub zone: TimeZone,
    /// The operator's own headline.
    pub title: Option<Arc<str>>,
    /// The operator's own text.
    pub text: Option<Arc<str>>,
    /// Whether buttons in a chat answer by themselves, without a page.
    pub is_interactive: bool,
}

/// A message in words, with the values that it is made of.
#[derive(Clone, Debug)]
pub struct Words {
    /// One line.
    pub headline: String,
    /// The rest.
    pub details: String,
    /// Where to look.
    pub link: Option<String>,
    /// The values of templates.
    pub values: Value,
}

impl TextSetup {
    /// Puts a message into words.
    pub fn words(&self, parcel: &Parcel) -> Words {
        let mut values = self.values(parcel);
        let link = word(&values, "link").map(str::to_owned);
        let plain = headline(parcel);
        let headline = self.own(self.title.as_deref(), &values).unwrap_or(plain);
        let headline = cut(&headline.replace(['\n', '\r'], " "), HEADLINE_MAX);
        set(&mut values, "headline", json!(headline));
        let details = self.own(self.text.as_deref(), &values).or_else(|| {
            let rendered = render(DEFAULT, &jinja(&values));
            rendered
                .map_err(
                    |error| log::error!(error = error.as_str(); "the default text failed: {error}"),
                )
                .ok()
        });
        let details = details.unwrap_or_else(|| parcel.note.clone().unwrap_or_default());
        let details = cut(details.trim(), TEXT_MAX);
        set(&mut values, "details", json!(details));
        let text = format!("{headline}\n{details}");
        set(&mut values, "text", json!(text));
        let html = html(&headline, &details, link.as_deref());
        set(&mut values, "html", json!(html));
        Words {
            headline,
            details,
            link,
            values,
        }
    }

    /// The operator's own text; `None` when there is none, or when it fails.
    fn own(&self, template: Option<&str>, values: &Value) -> Option<String> {
        let rendered = render(template?, &jinja(values));
        match rendered {
            Ok(text) => Some(text).filter(|text| !text.trim().is_empty()),
            Err(error) => {
                log::warn!(error = error.as_str(); "a text of a target failed, the usual one is sent: {error}");
                None
            }
        }
    }

    fn values(&self, parcel: &Parcel) -> Value {
        let nothing = json!({});
        let briefing = parcel.briefing.as_deref();
        let incident = briefing.map_or(&nothing, |it| &it.incident);
        let alerts = briefing.map_or(&[][..], |it| it.alerts.as_slice());
        let number = word(incident, "number");
        let link = self.external_url.as_ref().map(|base| match number {
            Some(number) => format!("{base}/incidents/{number}"),
            None => base.clone(),
        });
        let priority = word(incident, "priority").unwrap_or("P3");
        let action = action(parcel.event);
        let color = if action == "resolve" {
            "#2eb67d"
        } else {
            color(priority)
        };
        let root = incident.get("root_cause");
        let why = root.and_then(|root| root.get("why")?.get(0));
        let cause = root.and_then(|root| root.get("ci")).and_then(|ci| {
            let name = word(ci, "name")?;
            Some(format!("{name} ({})", word(ci, "class").unwrap_or("item")))
        });
        // Without an address that people reach, a link leads nowhere.
        let answer = parcel.answer_url.as_deref().filter(|_| link.is_some());
        let token = answer.and_then(|url| url.rsplit('/').next());
        json!({
            "id": parcel.id,
            "type": parcel.event.word(),
            "event": parcel.event.word(),
            "action": action,
            "incident": incident,
            "alerts": alerts,
            "note": parcel.note,
            "repeat": parcel.is_repeat,
            "priority": priority,
            "title": incident.get("title"),
            "cause": cause,
            "why": why,
            "reach": reach(incident),
            "sla": self.sla(incident.get("sla")),
            "runbook": runbook(alerts),
            "link": link,
            "answer_url": parcel.answer_url,
            "rating_url": parcel.rating_url,
            "answer": answer,
            "answer_token": token,
            "is_interactive": self.is_interactive,
            "to": parcel.recipient,
            "color": color,
            "color_number": u32::from_str_radix(color.trim_start_matches('#'), 16).unwrap_or_default(),
            "dedup_key": number.map_or_else(|| parcel.id.clone(), |number| format!("watchbell/{number}")),
            "at": rfc3339(parcel.at),
            "at_s": parcel.at.as_millis().div_euclid(1_000),
            "at_local": self.local(parcel.at),
        })
    }

    /// The clocks that run, with their due times on the reader's clock.
    fn sla(&self, clocks: Option<&Value>) -> Vec<String> {
        let clocks = clocks.and_then(Value::as_array);
        let clocks = clocks.map_or(&[][..], Vec::as_slice);
        let shown = clocks.iter().filter_map(|clock| {
            let name = word(clock, "clock")?;
            let state = word(clock, "state")?;
            let due = word(clock, "due_at");
            let due = due.and_then(|text| text.parse::<jiff::Timestamp>().ok());
            let due = due.map(|at| self.local(Timestamp::from_millis(at.as_millisecond())));
            match (state, due) {
                ("running", Some(due)) => Some(format!("{name} due {due}")),
                ("breached", Some(due)) => Some(format!("{name} was due {due}")),
                ("paused", _) => Some(format!("{name} paused")),
                _ => None,
            }
        });
        shown.collect()
    }

    fn local(&self, at: Timestamp) -> String {
        let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
        at.to_zoned(self.zone.clone())
            .strftime("%Y-%m-%d %H:%M %Z")
            .to_string()
    }
}

/// What a pager makes of an event.
fn action(event: Event) -> &'static str {
    match event {
        Event::Resolved | Event::Closed => "resolve",
        Event::Acknowledged => "acknowledge",
        Event::Opened
        | Event::Escalated
        | Event::PriorityRaised
        | Event::SlaWarning
        | Event::SlaBreached
        | Event::FlappingStarted
        | Event::FlappingEnded
        | Event::Update
        | Event::Trouble
        | Event::Test => "trigger",
    }
}

/// One line that says it all.
fn headline(parcel: &Parcel) -> String {
    let Some(briefing) = &parcel.briefing else {
        return format!("Watchbell: {}", parcel.note.as_deref().unwrap_or("trouble"));
    };
    let of = |name: &str| word(&briefing.incident, name).unwrap_or_default();
    let (number, priority, title) = (of("number"), of("priority"), of("title"));
    let word = match parcel.event {
        Event::Opened => "",
        Event::Escalated => "still open: ",
        Event::PriorityRaised => "more urgent: ",
        Event::Resolved => "resolved: ",
        Event::Acknowledged => "acknowledged: ",
        Event::Closed => "closed: ",
        Event::SlaWarning => "SLA in danger: ",
        Event::SlaBreached => "SLA missed: ",
        Event::FlappingStarted => "flapping: ",
        Event::FlappingEnded => "no longer flapping: ",
        Event::Update => "update: ",
        Event::Trouble | Event::Test => "test: ",
    };
    format!("[{priority}] {number} {word}{title}")
}

fn color(priority: &str) -> &'static str {
    match priority {
        "P1" => "#8b0000",
        "P2" => "#e01e5a",
        "P3" => "#ecb22e",
        _ => "#36c5f0",
    }
}

/// How far the incident reaches, in words.
fn reach(incident: &Value) -> Option<String> {
    let cis = incident.get("cis").and_then(Value::as_u64);
    let cis = cis.filter(|count| *count > 1);
    let services = incident.get("services").and_then(Value::as_array);
    let services = services.map_or(&[][..], Vec::as_slice);
    let services: Vec<&str> = services.iter().filter_map(Value::as_str).take(10).collect();
    let mut parts = Vec::new();
    parts.extend(cis.map(|count| format!("{count} configuration items")));
    if !services.is_empty() {
        parts.push(format!("services {}", services.join(", ")));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// The first runbook that an alert names.
fn runbook(alerts: &[Value]) -> Option<&str> {
    let names = ["runbook_url", "runbook", "runbookUrl"];
    let found = |alert| {
        let alert: &Value = alert;
        let annotations = alert.get("annotations")?;
        names.iter().find_map(|name| word(annotations, name))
    };
    alerts.iter().find_map(found)
}

fn html(headline: &str, details: &str, link: Option<&str>) -> String {
    let head = escape(headline);
    let head = match link {
        Some(link) => format!("<a href=\"{}\">{head}</a>", escape(link)),
        None => head,
    };
    let lines: Vec<String> = details.lines().map(html_line).collect();
    format!(
        "<p><strong>{head}</strong></p><p>{}</p>",
        lines.join("<br>\n")
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// A line in which addresses can be clicked.
fn html_line(line: &str) -> String {
    let words = line.split(' ').map(|word| {
        let shown = escape(word);
        let is_link = word.starts_with("https://") || word.starts_with("http://");
        if is_link && !word.contains(char::is_control) {
            format!("<a href=\"{shown}\">{shown}</a>")
        } else {
            shown
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn cut(text: &str, characters_max: usize) -> String {
    if text.chars().count() <= characters_max {
        return text.to_owned();
    }
    let mut cut: String = text
        .chars()
        .take(characters_max.saturating_sub(1))
        .collect();
    cut.push('…');
    cut
}
