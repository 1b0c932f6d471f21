//! `watchbell token`: API tokens, straight in the store, so that the first one can be made before the daemon runs.
//!
//! Must not show a token anywhere but on stdout, once.

use std::path::Path;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::api_token::{Role, hash, mint, public_id};
use crate::cli::failure::{Exit, Failure};
use crate::cli::machine::{now, random_bytes};
use crate::cli::options::{Output, duration};
use crate::cli::out::Out;
use crate::cli::settings::{attach, load_sections, open_current, request, shown_store};
use crate::cli::table::{Fit, Table};
use crate::cli::{json, text};
use crate::config::{Env, Settings};
use crate::core::time::{Span, Timestamp};
use crate::store::tokens::{self, TokenRow};
use crate::store::{Db, OwnedConn, inspect};
use crate::token_key;

/// The examples of `--help`.
pub const EXAMPLES: &str = "\
Examples:
  watchbell token create --role responder --name ana --expires 90d
  export WATCHBELL_TOKEN=$(watchbell token create --role viewer --name dashboard)
  watchbell token list
  watchbell token revoke tok-5bdcc146bf60

Roles: viewer reads, responder also works on incidents, admin also changes what concerns everybody.
Run this as the user and with the configuration of the daemon: tokens live in its store, hashed with
the key in its state folder.";

/// What to do with tokens.
#[derive(Subcommand, Clone, Debug)]
pub enum TokenCommand {
    /// Make a token; it is printed once, on stdout, and stored as a hash
    #[command(after_help = EXAMPLES)]
    Create(CreateArgs),
    /// List tokens, also revoked and expired ones
    #[command(after_help = EXAMPLES)]
    List {
        /// `table` for people, `json` for programs
        #[arg(long, value_enum, default_value_t = Output::Table, hide_possible_values = true)]
        output: Output,
    },
    /// Make a token void at once
    #[command(after_help = EXAMPLES)]
    Revoke {
        /// The token's id, as `token list` shows it
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// Options of `token create`.
#[derive(Args, Clone, Debug)]
pub struct CreateArgs {
    /// What the token may do
    #[arg(long, value_parser = PossibleValuesParser::new(Role::ALL.map(Role::as_str)).try_map(|word| word.parse::<Role>()))]
    role: Role,
    /// Whom it is for, for `token list` and the audit [default: the role]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// How long it is valid, like 12h or 90d [default: until it is revoked]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    expires: Option<Span>,
}

/// Who does what is done here, for the audit.
const COMMAND_LINE: &str = "command line";

/// A token as `list --output json` shows it.
#[derive(Serialize)]
struct Listed<'a> {
    id: &'a str,
    name: &'a str,
    role: &'a str,
    state: &'static str,
    created_at: String,
    expires_at: Option<String>,
    revoked_at: Option<String>,
}

/// Runs one of the token commands.
///
/// # Errors
/// The store or the key cannot be used, or there is no such token.
pub async fn run(
    config: Option<&Path>,
    command: &TokenCommand,
    env: &Env,
    out: &Out,
) -> Result<Exit, Failure> {
    let settings = load_sections(&request(config, env), &["store"])?;
    match command {
        TokenCommand::Create(args) => create(&settings, args, out).await,
        TokenCommand::List { output } => list(&settings, *output, out).await,
        TokenCommand::Revoke { id } => revoke(&settings, id, out).await,
    }
}

async fn create(settings: &Settings, args: &CreateArgs, out: &Out) -> Result<Exit, Failure> {
    let db = open_current(settings).await?;
    let key = token_key::load_or_create(settings.state_dir(), random_bytes()?)
        .map_err(|error| Failure::unreachable(error.to_string()))?;
    let token = mint(random_bytes()?);
    let hash = hash(&key, &token);
    let created_at = now();
    let expires_at = args.expires.map(|span| created_at.plus(span));
    let name = args.name.as_deref().map_or(args.role.as_str(), str::trim);
    let row = TokenRow {
        id: public_id(&hash),
        name: text::clean(name),
        role: args.role.to_string(),
        hash,
        created_at: created_at.as_millis(),
        expires_at: expires_at.map(Timestamp::as_millis),
        revoked_at: None,
    };
    let mut conn = db.connect().await?;
    tokens::create(&mut conn, &row, COMMAND_LINE).await?;
    conn.close().await?;
    db.close().await;
    let until = expires_at.map_or_else(
        || "until it is revoked".to_owned(),
        |at| format!("until {}", text::utc(at)),
    );
    out.note(&format!(
        "{} {} {:?}, valid {until}, kept in {}. The token is shown only now:",
        row.id,
        row.role,
        row.name,
        shown_store(&settings.store)
    ));
    if db.file().is_none() {
        out.note(&format!(
            "Daemons on this database know it if they have the same file {}.",
            token_key::path(settings.state_dir()).display()
        ));
    }
    out.print(&token)?;
    Ok(Exit::Done)
}

async fn list(settings: &Settings, output: Output, out: &Out) -> Result<Exit, Failure> {
    let mut conn = connect(&attach(settings)?).await?;
    let rows = tokens::list(conn.lend()).await?;
    conn.close().await?;
    let now = now();
    if output == Output::Json {
        let listed: Vec<Listed<'_>> = rows.iter().map(|row| listed(row, now)).collect();
        let text = serde_json::to_string(&serde_json::json!({ "items": listed }))
            .map_err(|error| Failure::unreachable(error.to_string()))?;
        json::print(&text, out)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&[
        ("ID", Fit::Fixed),
        ("NAME", Fit::Cut),
        ("ROLE", Fit::Fixed),
        ("STATE", Fit::Fixed),
        ("CREATED", Fit::Fixed),
        ("EXPIRES", Fit::Fixed),
    ]);
    let shown = |at: Option<i64>| {
        at.map_or("never".to_owned(), |at| {
            text::utc(Timestamp::from_millis(at))
        })
    };
    for row in &rows {
        table.row([
            row.id.as_str().into(),
            row.name.as_str().into(),
            row.role.as_str().into(),
            state(row, now).into(),
            shown(Some(row.created_at)).into(),
            shown(row.expires_at).into(),
        ]);
    }
    if table.is_empty() {
        out.note("There are no tokens; make one with `watchbell token create --role responder`.");
    } else {
        out.print(&table.render(out))?;
    }
    Ok(Exit::Done)
}

async fn revoke(settings: &Settings, id: &str, out: &Out) -> Result<Exit, Failure> {
    let mut conn = connect(&attach(settings)?).await?;
    let is_revoked = tokens::withdraw(&mut conn, id, now(), COMMAND_LINE).await?;
    conn.close().await?;
    if is_revoked {
        out.print(&format!(
            "{} is void; a running daemon refuses it within a second",
            text::clean(id)
        ))?;
        return Ok(Exit::Done);
    }
    Err(
        Failure::failed(format!("there is no valid token {:?}", text::clean(id)))
            .next("`watchbell token list` shows the ids"),
    )
}

/// A connection to a store that has tokens.
async fn connect(db: &Db) -> Result<OwnedConn, Failure> {
    let mut conn = db.connect().await?;
    match inspect::find_schema_version(conn.lend()).await? {
        Some(_) => Ok(conn),
        None => Err(Failure::unreachable("the store is empty")
            .next("make a token with `watchbell token create`, or start `watchbell serve`")),
    }
}

fn state(row: &TokenRow, now: Timestamp) -> &'static str {
    let is_over = |at: Option<i64>| at.is_some_and(|at| at <= now.as_millis());
    if row.revoked_at.is_some() {
        "revoked"
    } else if is_over(row.expires_at) {
        "expired"
    } else {
        "valid"
    }
}

fn listed(row: &TokenRow, now: Timestamp) -> Listed<'_> {
    let shown = |at: i64| text::rfc3339(Timestamp::from_millis(at));
    Listed {
        id: &row.id,
        name: &row.name,
        role: &row.role,
        state: state(row, now),
        created_at: shown(row.created_at),
        expires_at: row.expires_at.map(shown),
        revoked_at: row.revoked_at.map(shown),
    }
}
