//! What silences and maintenance windows are about: matchers and the scope over the CMDB, as written and as shown.
//!
//! Must not look anything up; the core does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use utoipa::ToSchema;

use super::ApiState;
use super::problem::Problem;
use super::shapes::Alert;
use super::silences::MatcherWanted;
use super::time::read_span;
use crate::core::ids::AlertId;
use crate::core::mute::{self, Scope};
use crate::core::silence::matcher::Matcher;
use crate::core::silence::{Operator, parse_word};
use crate::core::state::State;
use crate::core::time::Span;
use crate::store::query::Page;
use crate::store::query::alerts::{self, AlertFilter, AlertOrder};
use crate::store::silences::{Labelled, list_firing};

/// Alerts that a preview shows; all are counted.
const PREVIEWED_MAX: usize = 100;
/// Alerts compared at once for a preview.
const PAGE: i64 = 500;
/// The partition of a daemon that has only one.
const PARTITION: i64 = 0;

/// One name or several.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Names {
    /// One.
    One(String),
    /// Several, of which one must fit.
    Many(Vec<String>),
    /// A CI as the API shows it.
    Item(ItemName),
    /// Several of them.
    Items(Vec<ItemName>),
}

/// A CI as the API shows it: its id counts, else its name.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct ItemName {
    /// Its id.
    id: Option<String>,
    /// What it is called.
    name: Option<String>,
}

impl Names {
    fn into_names(self) -> Vec<SmolStr> {
        let called = |item: ItemName| item.id.or(item.name).map(SmolStr::from);
        match self {
            Self::One(name) => vec![SmolStr::from(name)],
            Self::Many(names) => names.into_iter().map(SmolStr::from).collect(),
            Self::Item(item) => called(item).into_iter().collect(),
            Self::Items(items) => items.into_iter().filter_map(called).collect(),
        }
    }
}

/// Matchers as a list, as one text like `{alertname="DiskFull",instance=~"web.*"}`, or as labels with their values.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(untagged)]
pub enum MatchersWanted {
    /// A list of texts and objects.
    List(Vec<MatcherWanted>),
    /// One text.
    Text(String),
    /// Labels that must be exactly so.
    Labels(BTreeMap<String, String>),
}

/// Which CIs are meant; everything that is named must hold.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScopeBody {
    /// Ids or names of CIs.
    #[serde(alias = "cis")]
    pub(super) ci: Option<Names>,
    /// Whether everything that depends on those CIs is meant too.
    pub(super) downstream: Option<bool>,
    /// Classes.
    #[serde(alias = "classes")]
    pub(super) class: Option<Names>,
    /// Sites.
    #[serde(alias = "sites")]
    pub(super) site: Option<Names>,
    /// Services: they and what serves nothing else.
    #[serde(alias = "services")]
    pub(super) service: Option<Names>,
}

/// Which CIs are meant.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScopeShape {
    /// Ids or names of CIs.
    ci: Vec<String>,
    /// Whether everything that depends on those CIs is meant too.
    downstream: bool,
    /// Classes.
    class: Vec<String>,
    /// Sites.
    site: Vec<String>,
    /// Services: they and what serves nothing else.
    service: Vec<String>,
}

/// What would be hidden now.
#[derive(Debug, Serialize, ToSchema)]
pub struct Preview {
    /// How many firing alerts match.
    total: usize,
    /// How many of each severity.
    severities: BTreeMap<&'static str, usize>,
    /// The first hundred of them.
    items: Vec<Alert>,
}

impl From<&Scope> for ScopeShape {
    fn from(scope: &Scope) -> Self {
        let names = |list: &[SmolStr]| list.iter().map(ToString::to_string).collect();
        Self {
            ci: names(&scope.ci),
            downstream: scope.is_downstream,
            class: names(&scope.class),
            site: names(&scope.site),
            service: names(&scope.service),
        }
    }
}

impl ScopeBody {
    /// This, with what is not named here as in the other.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            ci: self.ci.or(other.ci),
            downstream: self.downstream.or(other.downstream),
            class: self.class.or(other.class),
            site: self.site.or(other.site),
            service: self.service.or(other.service),
        }
    }

    /// The scope in full: what is not named stays as it was.
    pub(super) fn into_scope(self, before: Option<&Scope>) -> Scope {
        let names = |wanted: Option<Names>, before: Option<&Vec<SmolStr>>| match wanted {
            Some(names) => names.into_names(),
            None => before.cloned().unwrap_or_default(),
        };
        let downstream = self.downstream;
        Scope {
            ci: names(self.ci, before.map(|it| &it.ci)),
            is_downstream: downstream.unwrap_or(before.is_some_and(|it| it.is_downstream)),
            class: names(self.class, before.map(|it| &it.class)),
            site: names(self.site, before.map(|it| &it.site)),
            service: names(self.service, before.map(|it| &it.service)),
        }
    }
}

/// Matchers as written, as text or as objects.
pub(super) fn matchers(wanted: MatchersWanted) -> Result<Vec<Matcher>, Problem> {
    let wanted = match wanted {
        MatchersWanted::List(list) => list,
        MatchersWanted::Text(text) => vec![MatcherWanted::Text(text)],
        MatchersWanted::Labels(labels) => {
            let equal = Operator::new(false, true);
            let matchers = labels
                .iter()
                .map(|(name, value)| Matcher::new(name, equal, value));
            let matchers: Result<_, _> = matchers.collect();
            return matchers.map_err(|bad| Problem::bad_request(bad.to_string()));
        }
    };
    let mut matchers = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        match wanted {
            MatcherWanted::Text(text) => {
                let parsed = parse_word(&text);
                matchers.extend(parsed.map_err(|bad| Problem::bad_request(bad.to_string()))?);
            }
            MatcherWanted::Parts(parts) => {
                let operator = Operator::new(parts.is_regex, parts.is_equal);
                let matcher = Matcher::new(&parts.name, operator, &parts.value);
                matchers.push(matcher.map_err(|bad| Problem::bad_request(bad.to_string()))?);
            }
        }
    }
    Ok(matchers)
}

/// How long something shall hold, if that is said.
pub(super) fn span(text: Option<&str>, seconds: Option<i64>) -> Result<Option<Span>, Problem> {
    match (text, seconds) {
        (Some(_), Some(_)) => Err(Problem::bad_request("give either duration or duration_s")),
        (Some(text), None) => read_span(text).map(Some).ok_or_else(|| {
            Problem::bad_request(format!("duration: {text:?} is not a duration like 2h"))
        }),
        (None, seconds) => Ok(seconds.map(Span::from_secs)),
    }
}

/// Which firing alerts matchers and scope would hide now.
pub(super) async fn preview(
    api: &ApiState,
    matchers: Vec<Matcher>,
    scope: Scope,
) -> Result<Preview, Problem> {
    let (mut ids, mut total, mut after): (Vec<AlertId>, usize, i64) = (Vec::new(), 0, 0);
    let mut severities = BTreeMap::new();
    loop {
        let from = after;
        let page = api
            .read(async move |db| {
                list_firing(db.reader().await?.lend(), PARTITION, from, PAGE).await
            })
            .await?;
        let Some(last) = page.last() else { break };
        after = last.alert.get();
        let page = page
            .into_iter()
            .map(|Labelled { alert, labels, .. }| (alert, labels));
        let page: Vec<(AlertId, BTreeMap<String, String>)> = page.collect();
        let (matchers, scope) = (matchers.clone(), scope.clone());
        let look = move |state: &State| {
            let found = mute::hidden(state, &matchers, &scope, &page);
            let alerts = found.iter().filter_map(|id| state.alert(*id));
            let words: Vec<_> = alerts.map(|alert| alert.severity.word()).collect();
            (found, words)
        };
        let (found, words) = api.setup().engine.look(look).await?;
        for word in words {
            let count: &mut usize = severities.entry(word).or_default();
            *count = count.saturating_add(1);
        }
        total = total.saturating_add(found.len());
        let room = PREVIEWED_MAX.saturating_sub(ids.len());
        ids.extend(found.into_iter().take(room));
    }
    let items = if ids.is_empty() {
        Vec::new()
    } else {
        shown(api, ids).await?
    };
    Ok(Preview {
        total,
        severities,
        items,
    })
}

async fn shown(api: &ApiState, ids: Vec<AlertId>) -> Result<Vec<Alert>, Problem> {
    let views = api
        .read(async move |db| {
            let filter = AlertFilter {
                ids,
                ..AlertFilter::default()
            };
            let page = Page {
                limit: u32::try_from(PREVIEWED_MAX).unwrap_or(u32::MAX),
                is_newest_first: true,
                after: None,
            };
            let mut reader = db.reader().await?;
            alerts::list(reader.lend(), &filter, AlertOrder::Id, page).await
        })
        .await?;
    Ok(views.items.into_iter().map(Alert::from).collect())
}
