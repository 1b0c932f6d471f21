//! Reads every section except `[[source]]` into checked settings.
//!
//! One function per section, in the order of the shipped file. Must not default anything that the shipped file writes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::config::Env;
use crate::config::answers;
use crate::config::error::Complaint;
use crate::config::heartbeats;
use crate::config::ladders;
use crate::config::people;
use crate::config::reader::{Spot, TableReader};
use crate::config::secret::Secret;
use crate::config::settings::{
    AuthSettings, LimitSettings, LogFormat, LogSettings, RetentionSettings, ServerSettings,
    Settings, StoreSettings, StoreUrl, TlsSettings, is_loopback,
};
use crate::config::values::{self, FOREVER};
use crate::config::{
    calendars, cmdb, connectors, correlation, inhibit, maintenance, records, routes, sla, sources,
    targets, watcher,
};
use crate::core::flap::FlapRules;
use crate::core::practice::PracticeRules;
use crate::core::rules::{IncidentRules, SettleRules};
use crate::core::severity::Priority;
use crate::core::time::Span;

const LOG_FORMATS: &[(&str, LogFormat)] = &[
    ("auto", LogFormat::Auto),
    ("text", LogFormat::Text),
    ("json", LogFormat::Json),
    ("journal", LogFormat::Journal),
];
const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
const SECOND: Span = Span::from_secs(1);
const HOUR: Span = Span::from_hours(1);

/// Reads the whole document.
pub(super) fn read(mut root: TableReader<'_>, env: &Env) -> Settings {
    let auth = auth(&mut root);
    let server = server(&mut root, &auth);
    let store = store(&mut root, env);
    let exposed = server
        .listen
        .iter()
        .find(|address| !is_loopback(address))
        .copied();
    let sources = sources::read(root.tables("source"), exposed);
    let (cmdb, imports) = cmdb::read(&mut root);
    let heartbeats = heartbeats::read(root.tables("heartbeat"), &sources, exposed);
    let calendar_names: BTreeSet<String> = root.names("calendar");
    let (calendars, holiday_feeds) = calendars::read(root.tables("calendar"));
    let is_calendar = |name: &str| calendar_names.contains(name);
    let sla = sla::read(root.tables("sla"), calendars, &is_calendar);
    let targets = targets::read(root.tables("target"));
    let routes = routes::read(root.tables("route"), &targets);
    let watcher = watcher::read(&mut root, &targets);
    let (on_call, rota_feeds) = people::read(&mut root, &targets);
    let names = ladders::Names {
        on_call: &on_call,
        targets: targets.iter().map(|target| target.name.as_str()).collect(),
        calendars: calendar_names.iter().map(String::as_str).collect(),
    };
    let ladders = ladders::read(root.tables("escalation"), &names);
    let answers = answers::read(&mut root, &targets);
    let records = records::read(&mut root, &targets);
    let (maintenance, window_feeds) = maintenance::read(root.tables("maintenance"));
    let settings = Settings {
        state_dir: state_dir(&store.url, env),
        server,
        store,
        auth,
        sources,
        heartbeats,
        maintenance,
        window_feeds,
        holiday_feeds,
        rota_feeds,
        inhibit: inhibit::read(root.tables("inhibit")),
        targets,
        routes,
        watcher,
        incident: incident(&mut root),
        settle: settle(&mut root),
        flapping: flapping(&mut root),
        practice: PracticeRules {
            priority: sla::priority(&mut root),
            sla,
            cost: sla::cost(&mut root),
        },
        correlation: correlation::read(&mut root),
        connectors: connectors::read(root.tables("connector")),
        cmdb,
        imports,
        on_call,
        ladders,
        answers,
        records,
        retention: retention(&mut root),
        limits: limits(&mut root),
        log: log(&mut root),
        files: Vec::new(),
    };
    root.finish();
    settings
}

fn server(root: &mut TableReader<'_>, auth: &AuthSettings) -> ServerSettings {
    let Some(mut table) = root.table("server") else {
        return ServerSettings::default();
    };
    let listen = table.list("listen", values::listen_address);
    let timeout = || values::duration(SECOND..=HOUR);
    let server = ServerSettings {
        external_url: table.optional("external_url", values::http_url),
        body_max: table
            .required("body_max", values::size(1 << 10..=1 << 30))
            .unwrap_or_default(),
        connections_max: table
            .required("connections_max", values::count(1..=1_000_000))
            .unwrap_or_default(),
        header_timeout: table
            .required("header_timeout", timeout())
            .unwrap_or_default(),
        body_timeout: table
            .required("body_timeout", timeout())
            .unwrap_or_default(),
        drain_timeout: table
            .required("drain_timeout", values::duration(Span::ZERO..=HOUR))
            .unwrap_or_default(),
        tls: table.table("tls").and_then(tls),
        listen,
    };
    check_listen(&table, &server, auth);
    table.finish();
    server
}

fn check_listen(table: &TableReader<'_>, server: &ServerSettings, auth: &AuthSettings) {
    let mut seen = Vec::new();
    for address in &server.listen {
        if seen.contains(address) && address.port() != 0 {
            table.refuse(
                Some("listen"),
                Complaint::new(format!("{address} is listed twice")),
            );
        }
        seen.push(*address);
    }
    if table.is_empty_list("listen") {
        let complaint = Complaint::new("at least one address is needed");
        table.refuse(
            Some("listen"),
            complaint.hint("write listen = \"127.0.0.1:8080\""),
        );
    }
    let exposed = server.listen.iter().find(|address| !is_loopback(address));
    if let (Some(address), false) = (exposed, auth.is_required) {
        let message =
            format!("{address} is reachable from other machines, but no authentication is on");
        let hint = "set required = true under [auth] and make tokens with `watchbell token create`, \
                    or listen on 127.0.0.1";
        table.refuse(Some("listen"), Complaint::new(message).hint(hint));
    }
}

fn tls(mut table: TableReader<'_>) -> Option<TlsSettings> {
    let cert = table.required("cert", values::pem_file);
    let key = table.required("key", values::pem_file);
    let client_ca = table.optional("client_ca", values::pem_file);
    table.finish();
    Some(TlsSettings {
        cert: cert?,
        key: key?,
        client_ca,
    })
}

fn store(root: &mut TableReader<'_>, env: &Env) -> StoreSettings {
    let Some(mut table) = root.table("store") else {
        return StoreSettings::default();
    };
    let url = table.optional("url", store_url);
    let password = table.optional("password", values::remote_secret);
    let store = StoreSettings {
        read_connections: table
            .required("read_connections", values::count(1..=1_000))
            .unwrap_or_default(),
        batch_rows: table
            .required("batch_rows", values::count(1..=100_000))
            .unwrap_or_default(),
        url: url.unwrap_or_else(|| default_store(env)),
        password,
    };
    if let (StoreUrl::Sqlite(_), Some(_)) = (&store.url, &store.password) {
        let complaint = Complaint::new("SQLite has no password");
        table.refuse(
            Some("password"),
            complaint.hint("remove it, or set url to postgres://..."),
        );
    }
    table.finish();
    store
}

/// Which database a URL names; never shown in messages, since it may hold a password.
fn store_url(spot: &Spot<'_>) -> Result<StoreUrl, Complaint> {
    let hint = "write sqlite:data/watchbell.db or postgres://user@host/database";
    let url = values::remote_secret(spot).map_err(|complaint| match complaint.hint {
        Some(_) => complaint,
        None => complaint.hint(hint),
    })?;
    let Some((scheme, rest)) = url.expose().split_once(':') else {
        return Err(Complaint::new("is not a store URL").hint(hint));
    };
    match scheme {
        "sqlite" => sqlite_path(rest).map(StoreUrl::Sqlite),
        "postgres" | "postgresql" => match url::Url::parse(url.expose()) {
            Ok(_) => Ok(StoreUrl::Postgres(Secret::new(url.expose()))),
            Err(error) => {
                Err(Complaint::new(format!("is not a PostgreSQL URL: {error}")).hint(hint))
            }
        },
        _ => Err(Complaint::new("is for a database that Watchbell does not support").hint(hint)),
    }
}

fn sqlite_path(rest: &str) -> Result<PathBuf, Complaint> {
    let hint = "write the path of a file, like sqlite:data/watchbell.db";
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let complaint = if path.is_empty() {
        "names no file"
    } else if path.starts_with(":memory:") {
        "a store in memory would forget accepted alerts at a restart"
    } else if path.contains('?') {
        "takes no parameters"
    } else {
        return Ok(PathBuf::from(path));
    };
    Err(Complaint::new(complaint).hint(hint))
}

fn default_store(env: &Env) -> StoreUrl {
    env.state_directory()
        .map_or_else(StoreUrl::default, |folder| {
            StoreUrl::Sqlite(Path::new(&folder).join("watchbell.db"))
        })
}

fn state_dir(url: &StoreUrl, env: &Env) -> PathBuf {
    if let Some(folder) = env.state_directory() {
        return PathBuf::from(folder);
    }
    match url {
        StoreUrl::Sqlite(path) => match path.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            Some(_) | None => PathBuf::from("."),
        },
        StoreUrl::Postgres(_) => PathBuf::from("data"),
    }
}

fn auth(root: &mut TableReader<'_>) -> AuthSettings {
    let Some(mut table) = root.table("auth") else {
        return AuthSettings::default();
    };
    let auth = AuthSettings {
        is_required: table.required("required", values::flag).unwrap_or_default(),
    };
    table.finish();
    auth
}

fn incident(root: &mut TableReader<'_>) -> IncidentRules {
    let Some(mut table) = root.table("incident") else {
        return IncidentRules::default();
    };
    let mut read = |key| {
        table
            .required(key, values::duration(Span::ZERO..=FOREVER))
            .unwrap_or_default()
    };
    let incident = IncidentRules {
        recover_after: read("recover_after"),
        reopen_window: read("reopen_window"),
        close_after: read("close_after"),
        acknowledge_for: table.optional(
            "acknowledge_for",
            values::duration(Span::from_mins(1)..=FOREVER),
        ),
    };
    table.finish();
    incident
}

fn flapping(root: &mut TableReader<'_>) -> FlapRules {
    let Some(mut table) = root.table("flapping") else {
        return FlapRules::default();
    };
    let flapping = FlapRules {
        changes: table
            .required("changes", values::count(2..=100))
            .unwrap_or_default(),
        window: table
            .required("window", values::duration(SECOND..=FOREVER))
            .unwrap_or_default(),
        recover_after: table
            .required("recover_after", values::duration(Span::ZERO..=FOREVER))
            .unwrap_or_default(),
    };
    table.finish();
    flapping
}

fn settle(root: &mut TableReader<'_>) -> SettleRules {
    let Some(mut table) = root.table("settle") else {
        return SettleRules::default();
    };
    let waits = Priority::ALL.map(|priority| {
        table
            .required(priority.word(), values::duration(Span::ZERO..=HOUR))
            .unwrap_or_default()
    });
    table.finish();
    SettleRules(waits)
}

fn retention(root: &mut TableReader<'_>) -> RetentionSettings {
    let Some(mut table) = root.table("retention") else {
        return RetentionSettings::default();
    };
    let kept = || values::duration(SECOND..=FOREVER);
    let retention = RetentionSettings {
        inputs: table.required("inputs", kept()).unwrap_or_default(),
        input_bytes_max: table
            .required("input_bytes_max", values::size(1 << 20..=1 << 50))
            .unwrap_or_default(),
        closed_incidents: table
            .required("closed_incidents", kept())
            .unwrap_or_default(),
        cmdb_versions: table.required("cmdb_versions", kept()).unwrap_or_default(),
        snapshots: table
            .required("snapshots", values::duration(Span::ZERO..=FOREVER))
            .unwrap_or_default(),
    };
    table.finish();
    retention
}

fn limits(root: &mut TableReader<'_>) -> LimitSettings {
    let Some(mut table) = root.table("limits") else {
        return LimitSettings::default();
    };
    let limits = LimitSettings {
        inbox_rows: table
            .required("inbox_rows", values::count(1..=100_000_000))
            .unwrap_or_default(),
        variants: table
            .required("variants", values::count(0..=1_000_000))
            .unwrap_or_default(),
        volatile_labels: table.list("volatile_labels", values::text),
        peer_rate: table.table("peer_rate").and_then(sources::rate),
    };
    table.finish();
    limits
}

fn log(root: &mut TableReader<'_>) -> LogSettings {
    let Some(mut table) = root.table("log") else {
        return LogSettings::default();
    };
    let log = LogSettings {
        level: table.required("level", log_filter).unwrap_or_default(),
        format: table
            .required("format", values::word(LOG_FORMATS))
            .unwrap_or_default(),
    };
    table.finish();
    log
}

/// A level, or levels per module such as `info,sqlx=warn`.
fn log_filter(spot: &Spot<'_>) -> Result<String, Complaint> {
    let text = values::text(spot)?;
    for part in text.split(',') {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
        if !LOG_LEVELS.contains(&level) {
            let complaint = Complaint::new(format!("{level:?} is not a log level"));
            let levels = LOG_LEVELS.join(", ");
            return Err(complaint.hint(format!("write one of {levels}, or info,module=debug")));
        }
    }
    Ok(text)
}
