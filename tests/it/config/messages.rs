//! Bad configuration files, and exactly what is printed about them.

use std::fs;
use std::path::Path;

use watchbell::config::settings::StoreUrl;
use watchbell::config::{Env, Secret};

use crate::config::{Folder, good};

/// Loads a bad file and compares all that is printed.
#[track_caller]
pub(super) fn bad(text: &str, expected: &str) {
    says(
        &Folder::with(&[("w.toml", text)]).errors(Env::fixed([])),
        expected,
    );
}

/// Compares what is printed with lines as they read.
#[track_caller]
pub(super) fn says(printed: &str, expected: &str) {
    assert_eq!(printed, expected.trim_matches('\n'), "printed:\n{printed}");
}

#[test]
fn a_bad_duration_says_where_and_what_to_write() {
    bad(
        "[incident]\nrecover_after = \"9 hours\"\nclose_after = 7\nreopen_window = \"101y\"\n",
        r#"
w.toml:2:17: incident.recover_after: "9 hours" is not a duration
    hint: write a number and a unit (ms, s, m, h, d, w, y), like 90s, 15m, 9h or 30d
w.toml:3:15: incident.close_after: expected a duration, found a whole number
    hint: write a number and a unit (ms, s, m, h, d, w, y), like 90s, 15m, 9h or 30d
w.toml:4:17: incident.reopen_window: "101y" is out of range
    hint: write something from 0s to 100y
"#,
    );
}

#[test]
fn unknown_keys_get_a_suggestion_or_the_list() {
    bad(
        "[serverr]\n[incident]\nrecover_aftr = \"1m\"\n[log]\nzzzzzz = 1\n\n[[source]]\nname = \"a\"\n\
         kind = \"alertmanager\"\nexpire_afer = \"1h\"\n",
        r#"
w.toml:1:2: serverr: unknown key
    hint: did you mean `server`?
w.toml:3:1: incident.recover_aftr: unknown key
    hint: did you mean `recover_after`?
w.toml:5:1: log.zzzzzz: unknown key
    hint: known here: format, level
w.toml:10:1: source[0].expire_afer: unknown key
    hint: did you mean `expire_after`?
"#,
    );
}

#[test]
fn what_says_nothing_or_is_unknown_is_refused_and_not_ignored() {
    bad(
        "# of the\n# contract\n[[escalation]]\nname = \"n\"\n[[route]]\nteam = \"t\"\n\
         [[source]]\nname = \"grid\"\nkind = \"heartbeat\"\n\
         [[source]]\nname = \"x\"\nkind = \"alertmanger\"\n[[source]]\nname = \"y\"\nkind = \"foo\"\n",
        r#"
w.toml:3:1: escalation[0]: the ladder has no step
    hint: write steps = [{ after = "0s", notify = ["ops-chat"] }], or [[escalation.step]]
w.toml:9:8: source[0].kind: a heartbeat has a section of its own, since it needs a time
    hint: write [[heartbeat]] with name = "grid" and every = "5m" instead of this [[source]]; it is pinged at /heartbeat/grid, or fed by an alert of a source with watchdog = { source = "...", match = { ... } }
w.toml:12:8: source[1].kind: "alertmanger" is not known here
    hint: did you mean "alertmanager"?
w.toml:15:8: source[2].kind: "foo" is not known here
    hint: write one of alertmanager, json, mqtt, pagerduty, opsgenie, cloudevents, sns, heartbeat, sparkplug
"#,
    );
}

#[test]
fn syntax_errors_have_a_place() {
    bad(
        "[server]\nlisten = \"127.0.0.1:8080\"\nbody_max = 16MiB\n",
        r#"
w.toml:3:12: not valid TOML: string values must be quoted, expected literal string
"#,
    );
}

#[test]
fn every_file_that_cannot_be_read_or_parsed_is_named_at_once() {
    let folder = Folder::with(&[
        (
            "w.toml",
            "include = [\"c/*\"]\nlog.level = [\n\"a\" \"b\"\n]\nx = \n[log]\n",
        ),
        ("c/a.toml", "[[source]]\nname = \"\u{e9}\" kind\n"),
        ("c/b.toml", "[log]\nlevel = \"info\"\nlevel = \"warn\"\n"),
    ]);
    fs::write(folder.dir.path().join("c/c.toml"), [0xff, 0xfe]).expect("file");
    says(
        &folder.errors(Env::fixed([])),
        r#"
w.toml:3:5: not valid TOML: missing comma between array elements, expected `,`
w.toml:5:5: not valid TOML: string values must be quoted, expected literal string
w.toml:6:2: not valid TOML: duplicate key
c/a.toml:2:12: not valid TOML: unexpected key or value, expected newline, `#`
c/b.toml:3:1: not valid TOML: duplicate key
c/c.toml: cannot read this file: it is not UTF-8 text
    hint: check the path and who may read it
"#,
    );
}

#[test]
fn numbers_sizes_and_words_are_checked() {
    bad(
        "[server]\nbody_max = \"16MB\"\nconnections_max = 0\n[limits]\ninbox_rows = \"many\"\n\
         [retention]\ninput_bytes_max = \"1KiB\"\n[log]\nlevel = \"info,sqlx=loud\"\nformat = \"jsn\"\n\
         [auth]\nrequired = \"yes\"\n[store]\nbatch_rows = 99999999999999999999\n",
        r#"
w.toml:2:12: server.body_max: "16MB" is not a size
    hint: write a number and a unit (B, KiB, MiB, GiB, TiB), like 16MiB
w.toml:3:19: server.connections_max: 0 is out of range
    hint: write something from 1 to 1000000
w.toml:5:14: limits.inbox_rows: expected a whole number, found text
    hint: write a number from 1 to 100000000, without quotes
w.toml:7:19: retention.input_bytes_max: "1KiB" is out of range
    hint: write something from 1MiB to 1024TiB
w.toml:9:9: log.level: "loud" is not a log level
    hint: write one of off, error, warn, info, debug, trace, or info,module=debug
w.toml:10:10: log.format: "jsn" is not known here
    hint: did you mean "json"?
w.toml:12:12: auth.required: expected true or false, found text
    hint: write it without quotes
w.toml:14:14: store.batch_rows: this number is out of range
    hint: write something from 1 to 100000
"#,
    );
}

#[test]
fn sections_with_the_wrong_brackets_are_explained() {
    bad(
        "[source]\nname = \"a\"\n[[server]]\nlisten = \"127.0.0.1:1\"\n",
        r#"
w.toml:1:1: source: expected a list of tables, found a table
    hint: write [[source]] with double brackets before each entry
w.toml:3:1: server: expected a table, found a list
    hint: write [server] with single brackets
"#,
    );
    bad(
        "log = \"info\"\n",
        r#"
w.toml:1:7: log: expected a table, found text
    hint: write it as a section [log] or as log = { ... }
"#,
    );
}

#[test]
fn listening_to_the_network_needs_authentication() {
    bad(
        "[server]\nlisten = [\"127.0.0.1:8080\", \"0.0.0.0:8080\"]\n",
        r#"
<built-in defaults>:52:1: source[0]: source "alertmanager" has no token, but 0.0.0.0:8080 is reachable from other machines
    hint: give the source token, basic, header or signature, or write open = true if everybody may send; a [[source]] in your file replaces the built-in one
w.toml:2:10: server.listen: 0.0.0.0:8080 is reachable from other machines, but no authentication is on
    hint: set required = true under [auth] and make tokens with `watchbell token create`, or listen on 127.0.0.1
"#,
    );
    bad(
        "[auth]\nrequired = true\n[server]\nlisten = \"[::]:8080\"\n",
        r#"
<built-in defaults>:52:1: source[0]: source "alertmanager" has no token, but [::]:8080 is reachable from other machines
    hint: give the source token, basic, header or signature, or write open = true if everybody may send; a [[source]] in your file replaces the built-in one
"#,
    );
    bad(
        "[server]\nlisten = [\"localhost:80\", \":8080\", 80]\n",
        r#"
w.toml:2:11: server.listen[0]: "localhost:80" is not an address to listen on
    hint: write an IP address and a port, like 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080
w.toml:2:27: server.listen[1]: ":8080" is not an address to listen on
    hint: write an IP address and a port, like 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080
w.toml:2:36: server.listen[2]: expected an address, found a whole number
    hint: write an IP address and a port, like 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080
"#,
    );
    bad(
        "[server]\nlisten = []\n",
        r#"
w.toml:2:10: server.listen: at least one address is needed
    hint: write listen = "127.0.0.1:8080"
"#,
    );
    let settings = good(
        "[auth]\nrequired = true\n[server]\nlisten = \"0.0.0.0:8080\"\n\
         [[source]]\nname = \"a\"\nkind = \"alertmanager\"\ntoken = \"long enough\"\n\
         [[source]]\nname = \"b\"\nkind = \"alertmanager\"\nopen = true\n",
    );
    let everywhere = "[::]:8080".parse().expect("address");
    assert_eq!(settings.refusal_to_listen(everywhere), None);
    let local =
        good("[server]\nlisten = [\"[::1]:0\", \"127.0.0.9:0\", \"[::ffff:127.0.0.1]:0\"]\n");
    assert!(local.refusal_to_listen(everywhere).is_some());
    assert_eq!(local.refusal_to_listen(local.server.listen[2]), None);
}

#[test]
fn sources_have_good_and_different_names_and_one_owns_the_api() {
    let source = |name: &str, more: &str| {
        format!("[[source]]\nname = \"{name}\"\nkind = \"alertmanager\"\n{more}\n")
    };
    let owner = |text: &str| {
        let settings = good(text);
        let owners = settings.sources.iter().filter(|source| source.api);
        owners.map(|source| source.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(owner(&(source("a", "") + &source("b", ""))), ["a"]);
    assert_eq!(
        owner(&(source("a", "") + &source("b", "api = true"))),
        ["b"]
    );
    assert_eq!(
        owner(&(source("a", "api = false") + &source("b", ""))),
        ["b"]
    );
    assert!(owner(&source("a", "api = false")).is_empty());
    assert!(owner("source = []\n").is_empty());
    bad(
        &(source("a", "api = true") + &source("a", "api = true") + &source("A:b", "")),
        r#"
w.toml:6:8: source[1].name: the name "a" is used at w.toml:1 already
    hint: every source needs a name of its own
w.toml:8:7: source[1].api: the source at w.toml:1 owns /api/v2 already
    hint: write api = true at one source only
w.toml:10:8: source[2].name: "A:b" is not a source name
    hint: write a lower-case letter or digit, then also _ . and -, at most 64 in all
"#,
    );
    bad(
        "[[source]]\nkind = \"alertmanager\"\n",
        "w.toml:1:1: source[0]: `name` is required here",
    );
}

#[test]
fn contradictions_of_a_source_are_refused() {
    bad(
        "[[source]]\nname = \"a\"\nkind = \"alertmanager\"\nopen = true\ntoken = \"long enough\"\n\
         reconcile = { url = \"http://u:p@am\", token = \"x\", basic = { user = \"a:b\" } }\n\
         header = { name = \"Authorization\", value = \"long enough\" }\n",
        r#"
w.toml:4:8: source[0].open: the source is open to everybody and has a secret
    hint: remove one of the two
w.toml:6:21: source[0].reconcile.url: the URL holds a user or password
    hint: write them as `basic` or `token` next to it, where they are kept secret
w.toml:6:51: source[0].reconcile.basic: only one of token and basic can be sent
    hint: remove one of the two
w.toml:6:59: source[0].reconcile.basic: `password` is required here
w.toml:6:68: source[0].reconcile.basic.user: a user name cannot contain a colon in basic authentication
w.toml:7:19: source[0].header.name: this header has keys of its own
    hint: use token or basic
"#,
    );
}

#[test]
fn a_secret_that_cannot_be_had_is_named_but_never_shown() {
    let source = |name: &str, token: &str| {
        format!("[[source]]\nname = \"{name}\"\nkind = \"alertmanager\"\ntoken = {token}\n")
    };
    let text = [
        source("a", "{ file = \"none\" }"),
        source("b", "{ env = \"NONE\" }"),
        source("c", "{ credential = \"none\" }"),
        source("d", "{ credential = \"../none\" }"),
        source("e", "{ file = \"f\", env = \"E\" }"),
        source("f", "{ vault = \"f\" }"),
        source("g", "\"\""),
        source("h", "\"canary\""),
        source("i", "{ file = \"short\" }"),
        source("j", "{ file = \"lines\" }"),
        source("k", "12345678"),
    ];
    let folder = Folder::with(&[
        ("w.toml", &text.concat()),
        ("short", "canary\n"),
        ("lines", "canary-one\ncanary-two\n"),
    ]);
    let printed = folder.errors(Env::fixed([]));
    assert!(!printed.contains("canary"), "{printed}");
    says(
        &printed,
        r#"
w.toml:4:9: source[0].token: cannot read the secret in none: it does not exist
    hint: check the path and who may read it
w.toml:8:9: source[1].token: environment variable NONE is not set
    hint: set it where the process is started
w.toml:12:9: source[2].token: credential none is not there: $CREDENTIALS_DIRECTORY is not set
    hint: systemd sets it for units with LoadCredential=; outside of systemd use file or env
w.toml:16:9: source[3].token: "../none" is not a credential name
    hint: write the name given to LoadCredential= in the unit, without a folder
w.toml:20:9: source[4].token: a secret comes from exactly one place
    hint: write text in quotes, { file = "path" }, { env = "NAME" } or { credential = "name" }
w.toml:24:9: source[5].token: a secret cannot come from `vault`
    hint: write text in quotes, { file = "path" }, { env = "NAME" } or { credential = "name" }
w.toml:28:9: source[6].token: the secret is empty
    hint: write text in quotes, { file = "path" }, { env = "NAME" } or { credential = "name" }
w.toml:40:9: source[9].token: the secret is not a single line of text
w.toml:44:9: source[10].token: expected a secret, found a whole number
    hint: write text in quotes, { file = "path" }, { env = "NAME" } or { credential = "name" }
"#,
    );
}

#[test]
fn the_store_is_a_file_or_postgres_and_its_password_is_not_shown() {
    let url = |url: &str| good(&format!("[store]\nurl = \"{url}\"\n"));
    assert_eq!(
        url("sqlite:a/b.db").store.url,
        StoreUrl::Sqlite("a/b.db".into())
    );
    assert_eq!(
        url("sqlite:///a/b.db").store.url,
        StoreUrl::Sqlite("/a/b.db".into())
    );
    assert_eq!(url("sqlite:/a/b.db").state_dir(), Path::new("/a"));
    assert_eq!(url("sqlite:b.db").state_dir(), Path::new("."));
    let postgres = url("postgres://u:canary@h/d");
    assert_eq!(
        postgres.store.url,
        StoreUrl::Postgres(Secret::new("postgres://u:canary@h/d"))
    );
    assert_eq!(postgres.state_dir(), Path::new("data"));
    assert!(!format!("{postgres:?}").contains("canary"));
    bad(
        "[store]\nurl = \"mysql://u:canary@h/d\"\n",
        r#"
w.toml:2:7: store.url: is for a database that Watchbell does not support
    hint: write sqlite:data/watchbell.db or postgres://user@host/database
"#,
    );
    bad(
        "[store]\nurl = \"postgres://u:canary@h:x/d\"\n",
        r#"
w.toml:2:7: store.url: is not a PostgreSQL URL: invalid port number
    hint: write sqlite:data/watchbell.db or postgres://user@host/database
"#,
    );
    bad(
        "[store]\nurl = \"sqlite::memory:\"\npassword = \"x\"\n",
        r#"
w.toml:2:7: store.url: a store in memory would forget accepted alerts at a restart
    hint: write the path of a file, like sqlite:data/watchbell.db
w.toml:3:12: store.password: SQLite has no password
    hint: remove it, or set url to postgres://...
"#,
    );
}

#[test]
fn errors_of_included_files_name_their_file_and_count_in_it() {
    let source = |name: &str| format!("[[source]]\nname = \"{name}\"\nkind = \"alertmanager\"\n");
    let folder = Folder::with(&[
        (
            "w.toml",
            &format!(
                "include = [\"conf.d/*.toml\", \"gone.toml\"]\n{}",
                source("a")
            ),
        ),
        (
            "conf.d/a.toml",
            &format!("{}expire_after = \"soon\"\n", source("a")),
        ),
    ]);
    says(
        &folder.errors(Env::fixed([])),
        r#"
w.toml:1:29: include: there is no file gone.toml
    hint: write it like include = ["conf.d/*.toml"]
"#,
    );
    fs::write(folder.dir.path().join("gone.toml"), "include = [\"x\"]\n").expect("file");
    says(
        &folder.errors(Env::fixed([])),
        r#"
gone.toml:1:1: include: an included file cannot include others
    hint: list all files in the main file
"#,
    );
    fs::write(folder.dir.path().join("gone.toml"), "").expect("file");
    says(
        &folder.errors(Env::fixed([])),
        r#"
conf.d/a.toml:2:8: source[0].name: the name "a" is used at w.toml:2 already
    hint: every source needs a name of its own
conf.d/a.toml:4:16: source[0].expire_after: "soon" is not a duration
    hint: write a number and a unit (ms, s, m, h, d, w, y), like 90s, 15m, 9h or 30d
"#,
    );
}

#[test]
fn tls_files_are_found_beside_the_file_or_named_in_the_error() {
    let text = "[server]\ntls = { cert = \"c.pem\", key = { credential = \"k.pem\" } }\n";
    let folder = Folder::with(&[("w.toml", text), ("c.pem", "x"), ("k.pem", "x")]);
    let credentials = folder.dir.path().to_str().expect("UTF-8");
    let settings = folder.load_with(Env::fixed([("CREDENTIALS_DIRECTORY", credentials)]));
    let tls = settings.expect("good").server.tls.expect("tls");
    assert_eq!(tls.cert, folder.dir.path().join("c.pem"));
    assert_eq!(tls.key, folder.dir.path().join("k.pem"));
    bad(
        "[server]\ntls = { cert = \"c.pem\" }\n",
        r#"
w.toml:2:7: server.tls: `key` is required here
w.toml:2:16: server.tls.cert: cannot read c.pem: it does not exist
    hint: check the path and who may read it
"#,
    );
}

#[test]
fn keys_of_services_are_needed_different_and_the_only_secret() {
    let source = |name: &str, kind: &str, more: &str| {
        format!("[[source]]\nname = \"{name}\"\nkind = \"{kind}\"\n{more}\n")
    };
    let settings = good(
        &(source("pd", "pagerduty", "routing_keys = [\"k1\", \"k2\"]")
            + &source("og", "opsgenie", "api_keys = \"k1\"")
            + &source("am", "alertmanager", "")),
    );
    let [pd, og, am] = settings.sources.as_slice() else {
        panic!("three sources");
    };
    assert_eq!((pd.keys.len(), og.keys.len()), (2, 1));
    assert!(pd.is_authenticated() && og.is_authenticated());
    assert!(
        am.api && !pd.api,
        "only an Alertmanager owns /api/v2 unasked"
    );
    assert!(pd.expire_after > am.expire_after);
    bad(
        &(source("a", "pagerduty", "token = \"long enough\"")
            + &source("b", "pagerduty", "routing_keys = []")
            + &source(
                "c",
                "opsgenie",
                "api_keys = [\"same\"]\nrouting_keys = [\"x\"]",
            )
            + &source("d", "opsgenie", "api_keys = [\"same\"]")
            + &source("e", "alertmanager", "api_keys = [\"x\"]")),
        r#"
w.toml:1:1: source[0]: kind "pagerduty" needs routing_keys
    hint: write routing_keys = ["..."] with the key that the sender is given
w.toml:4:9: source[0].token: kind "pagerduty" does not take token
    hint: remove it; senders prove who they are with one of the routing_keys
w.toml:8:16: source[1].routing_keys: kind "pagerduty" needs routing_keys
    hint: write routing_keys = ["..."] with the key that the sender is given
w.toml:13:16: source[2].routing_keys: kind "opsgenie" has no routing_keys
    hint: remove it
w.toml:17:12: source[3].api_keys: a key is written at w.toml:9 already
    hint: give every source keys of its own: the key says which source a request is for
w.toml:21:12: source[4].api_keys: kind "alertmanager" has no api_keys
    hint: remove it
"#,
    );
    bad(
        &("[auth]\nrequired = true\n[server]\nlisten = \"0.0.0.0:8080\"\n".to_owned()
            + &source("a", "pagerduty", "routing_keys = [\"k1\", \"long enough\"]")),
        r#"
w.toml:8:16: source[0].routing_keys: a key is shorter than 8 bytes, which other machines can guess
    hint: make a long random one, for example with `openssl rand -hex 16`
"#,
    );
}

#[test]
fn service_levels_that_could_never_be_met_are_refused_with_their_line() {
    bad(
        "[[calendar]]\nname = \"office\"\nzone = \"Europe/Berlinn\"\n\
         [[calendar]]\nname = \"never\"\nhours = { mon = [] }\n\
         [[calendar]]\nname = \"night\"\n[calendar.hours]\nmon-fri = [\n  \"08:00-12:00\",\n  \"22:00-06:00\",\n]\n\
         [[calendar]]\nname = \"odd\"\nhours = { weekdays = \"08:00-17:00\" }\nholidays = [\"2026-02-30\"]\n\
         [[sla]]\nwhen = \"incident.priority =< 'P2'\"\nresponse = \"30m\"\n\
         [[sla]]\nwhen = \"incdent.priority == 'P2'\"\nresponse = \"30m\"\ncalendar = \"ofice\"\n\
         [[sla]]\nwarn_at = [0.5, 1.5]\n\
         [priority]\nmatrix = [[\"P1\", \"P2\"]]\n",
        r#"
w.toml:3:8: calendar[0].zone: there is no time zone "Europe/Berlinn"
    hint: write a name of the IANA database, like Europe/Berlin or UTC
w.toml:6:1: calendar[1].hours: no minute ever counts in this calendar
    hint: write it like { mon-fri = ["08:00-12:00", "13:00-17:00"], sat = "09:00-12:00" }
w.toml:12:3: calendar[2].hours.mon-fri.1: the window "22:00-06:00" ends before it starts
    hint: write it like "08:00-12:00"; a night is two windows: "22:00-24:00" and, a day later, "00:00-06:00"
w.toml:16:22: calendar[3].hours.weekdays: "weekdays" is not a weekday
    hint: write it like { mon-fri = ["08:00-12:00", "13:00-17:00"], sat = "09:00-12:00" }
w.toml:17:12: calendar[3].holidays: "2026-02-30" is not a date
    hint: write { file = "holidays.ics" }, { url = "https://..." } or a list of dates like ["2026-12-25"]
w.toml:19:8: sla[0].when: is not a Jinja expression: syntax error: unexpected input after expression (in <expression>:1)
    hint: write a Jinja expression, like "incident.priority <= 'P2'"
w.toml:22:8: sla[1].when: `incdent` is not a variable; known here: incident, ci, service, services, team, tier, priority, severity, kind, labels, source, now; a text needs quotes inside, like 'incdent'
    hint: write a Jinja expression, like "incident.priority <= 'P2'"
w.toml:25:1: sla[2]: a service level needs `response`, `resolution` or both
    hint: write response = "30m"
w.toml:26:17: sla[2].warn_at[1]: "1.5" is not a share of a target
    hint: write shares of the target between 0 and 1, like [0.5, 0.8]
w.toml:28:10: priority.matrix: expected three, found 1
    hint: write three rows of three, like [["P1", "P2", "P3"], ["P2", "P3", "P4"], ["P3", "P4", "P5"]]
"#,
    );
}
