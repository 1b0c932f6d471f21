//! Reads `[[cmdb.import]]` into checked settings.
//!
//! Must not reach the network or read the files; the import does, and says what is wrong then.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::error::Complaint;
use crate::config::reader::{Spot, TableReader};
use crate::config::secret::Secret;
use crate::config::settings::Basic;
use crate::config::values;
use crate::core::time::Span;

/// Kinds of imports.
const KINDS: &[(&str, ImportKind)] = &[
    ("native", ImportKind::Native),
    ("csv", ImportKind::Csv),
    ("netbox", ImportKind::NetBox),
    ("servicenow", ImportKind::ServiceNow),
    ("itop", ImportKind::Itop),
    ("glpi", ImportKind::Glpi),
    ("backstage", ImportKind::Backstage),
    ("kubernetes", ImportKind::Kubernetes),
    ("terraform", ImportKind::Terraform),
    ("ansible", ImportKind::Ansible),
    ("prometheus", ImportKind::Prometheus),
    ("graphml", ImportKind::GraphMl),
];
/// Bytes of a name, which is shown with every item.
const NAME_BYTES_MAX: usize = 64;
const EVERY: Span = Span::from_mins(15);
const SECOND: Span = Span::from_secs(1);
const MONTH: Span = Span::from_days(30);

/// Whose inventory it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImportKind {
    /// Our own JSON.
    #[default]
    Native,
    /// Tables as text.
    Csv,
    /// NetBox.
    NetBox,
    /// ServiceNow.
    ServiceNow,
    /// iTop.
    Itop,
    /// GLPI.
    Glpi,
    /// Backstage.
    Backstage,
    /// Kubernetes.
    Kubernetes,
    /// Terraform.
    Terraform,
    /// Ansible.
    Ansible,
    /// Prometheus.
    Prometheus,
    /// GraphML.
    GraphMl,
}

impl ImportKind {
    /// The word in the configuration, which is also that of the format.
    pub fn word(self) -> &'static str {
        let found = KINDS.iter().find(|(_, kind)| *kind == self);
        found.map_or("native", |(word, _)| *word)
    }

    /// Every word.
    pub fn words() -> impl Iterator<Item = &'static str> {
        KINDS.iter().map(|(word, _)| *word)
    }
}

/// `[[cmdb.import]]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportSettings {
    /// Unique; what the import says replaces what it said before under this name.
    pub name: String,
    /// Whose inventory it is.
    pub kind: ImportKind,
    /// Where its API is, without a slash at the end; `None` when files are read.
    pub url: Option<String>,
    /// The files, read together as one picture.
    pub files: Vec<PathBuf>,
    /// Token of the API.
    pub token: Option<Secret>,
    /// User and password of the API.
    pub basic: Option<Basic>,
    /// GLPI's token of the client.
    pub app_token: Option<Secret>,
    /// Time between two imports.
    pub every: Span,
    /// Whether the API may stand at a private or loopback address; true unless the operator forbids it.
    pub allow_private: bool,
    /// Whether one wrong row refuses the whole import.
    pub is_strict: bool,
    /// What is read or left out, in the words of the product.
    pub options: ImportOptions,
}

/// What is read or left out, in the words of the product.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// NetBox: models that are left out, like `dcim.powerfeed`.
    pub skip: Vec<String>,
    /// ServiceNow: tables in place of the usual ones.
    pub tables: Vec<String>,
    /// ServiceNow: an encoded query that restricts the items.
    pub query: Option<String>,
    /// iTop: a class or a query in OQL in place of `FunctionalCI`.
    pub class: Option<String>,
    /// GLPI: item types in place of the usual ones.
    pub types: Vec<String>,
}

/// Reads all imports.
pub(super) fn read(tables: Vec<TableReader<'_>>) -> Vec<ImportSettings> {
    let mut imports = Vec::with_capacity(tables.len());
    let mut places: BTreeMap<String, String> = BTreeMap::new();
    for mut table in tables {
        let import = import(&mut table);
        check_place(&table, &import);
        check_secrets(&table, &import);
        if let Some(place) = places.insert(import.name.clone(), table.place())
            && !import.name.is_empty()
        {
            let message = format!("the name {:?} is used at {place} already", import.name);
            let hint = "every import needs a name of its own";
            table.refuse(Some("name"), Complaint::new(message).hint(hint));
        }
        table.finish();
        imports.push(import);
    }
    imports
}

fn import(table: &mut TableReader<'_>) -> ImportSettings {
    let kind = table
        .required("kind", values::word(KINDS))
        .unwrap_or_default();
    let mut files = table.list("file", path);
    files.extend(table.list("files", path));
    ImportSettings {
        name: table.required("name", name).unwrap_or_default(),
        kind,
        url: table.optional("url", values::http_url),
        files,
        token: table.optional("token", values::remote_secret),
        basic: basic(table),
        app_token: only(table, kind, ImportKind::Glpi, "app_token")
            .then(|| table.optional("app_token", values::remote_secret))
            .flatten(),
        every: table
            .optional("every", values::duration(SECOND..=MONTH))
            .unwrap_or(EVERY),
        // Inventories stand in private networks nearly always, and the contract asks for the word only at targets.
        allow_private: table
            .optional("allow_private", values::flag)
            .unwrap_or(true),
        is_strict: table.optional("strict", values::flag).unwrap_or_default(),
        options: options(table, kind),
    }
}

fn options(table: &mut TableReader<'_>, kind: ImportKind) -> ImportOptions {
    let mut options = ImportOptions::default();
    if only(table, kind, ImportKind::NetBox, "skip") {
        options.skip = table.list("skip", values::text);
    }
    if only(table, kind, ImportKind::ServiceNow, "tables") {
        options.tables = table.list("tables", table_name);
    }
    if only(table, kind, ImportKind::ServiceNow, "query") {
        options.query = table.optional("query", values::text);
    }
    if only(table, kind, ImportKind::Itop, "class") {
        options.class = table.optional("class", values::text);
    }
    if only(table, kind, ImportKind::Glpi, "types") {
        options.types = table.list("types", table_name);
    }
    options
}

/// Whether a key may be read; one that belongs to another kind is refused with the name of that kind.
fn only(
    table: &mut TableReader<'_>,
    kind: ImportKind,
    owner: ImportKind,
    key: &'static str,
) -> bool {
    if kind == owner || !table.has(key) {
        return true;
    }
    let message = format!("only imports of kind {:?} have this", owner.word());
    table.refuse(Some(key), Complaint::new(message).hint("remove it"));
    table.skip(key);
    false
}

fn check_place(table: &TableReader<'_>, import: &ImportSettings) {
    let has_files = table.has("file") || table.has("files");
    let hint = "write url = \"https://...\", or file = \"path\"";
    match (table.has("url"), has_files) {
        (true, true) => {
            let complaint = Complaint::new("an import has either url or files");
            table.refuse(Some("url"), complaint.hint("remove one of the two"));
        }
        (false, false) => {
            let complaint = Complaint::new("it is not said where the import comes from");
            table.refuse(None, complaint.hint(hint));
        }
        (false, true) if import.files.is_empty() && table.is_empty_list("files") => {
            table.refuse(
                Some("files"),
                Complaint::new("the list is empty").hint(hint),
            );
        }
        _ => {}
    }
}

fn check_secrets(table: &TableReader<'_>, import: &ImportSettings) {
    if table.has("token") && table.has("user") {
        let complaint = Complaint::new("only one of token and user can be sent");
        table.refuse(Some("user"), complaint.hint("remove one of the two"));
    }
    let is_plain = import
        .url
        .as_deref()
        .is_some_and(|url| url.starts_with("http://"));
    let has_secret = table.has("token") || table.has("password");
    if is_plain && has_secret && !import.allow_private {
        let message = "the secret would cross the network in clear text";
        let hint =
            "use https, or remove allow_private = false if the server stands in your own network";
        table.refuse(Some("url"), Complaint::new(message).hint(hint));
    }
    let needs_secret = matches!(
        import.kind,
        ImportKind::NetBox | ImportKind::ServiceNow | ImportKind::Itop | ImportKind::Glpi
    );
    if import.url.is_some() && needs_secret && !has_secret && import.kind != ImportKind::NetBox {
        let message = format!("{} answers nobody without a login", import.kind.word());
        let hint = "write token, or user and password";
        table.refuse(None, Complaint::new(message).hint(hint));
    }
}

fn basic(table: &mut TableReader<'_>) -> Option<Basic> {
    let user = table.optional("user", values::user_name);
    let password = table.optional("password", values::remote_secret);
    for (key, other) in [("user", "password"), ("password", "user")] {
        if table.has(key) && !table.has(other) {
            let message = format!("`{other}` is required beside `{key}`");
            table.refuse(Some(key), Complaint::new(message));
        }
    }
    Some(Basic {
        user: user?,
        password: password?,
    })
}

fn name(spot: &Spot<'_>) -> Result<String, Complaint> {
    let hint = "write letters, digits, and _ . -, at most 64 in all";
    let name = spot
        .text("a name")
        .map_err(|complaint| complaint.hint(hint))?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(is_plain) {
        Ok(name.to_owned())
    } else {
        Err(Complaint::new(format!("{name:?} is not a name of an import")).hint(hint))
    }
}

/// A table or type of a product, which becomes a part of an address.
fn table_name(spot: &Spot<'_>) -> Result<String, Complaint> {
    let name = values::text(spot)?;
    if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(name);
    }
    Err(
        Complaint::new(format!("{name:?} is not the name of a table or type"))
            .hint("write it as the product's API does"),
    )
}

fn path(spot: &Spot<'_>) -> Result<PathBuf, Complaint> {
    let text = spot
        .text("a path")
        .map_err(|complaint| complaint.hint("write file = \"path\""))?;
    if text.is_empty() {
        return Err(Complaint::new("the path is empty"));
    }
    Ok(spot.reading.files.resolve(spot.node.at.file, text))
}
