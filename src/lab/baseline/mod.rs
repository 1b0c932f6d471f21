//! What others do: the usual ways to group alerts, each in a few lines, with the settings that their products ship and the
//! best ones that a search on the development seeds found.
//!
//! They see what our engine sees: the messages, the CMDB, and the CI that our own binding found for each alert. Must not
//! see the truth.

pub mod graph;
pub mod labels;
pub mod time;

use smol_str::SmolStr;

use crate::core::severity::Severity;
use crate::lab::baseline::graph::Hops;

/// One occurrence as it is seen from outside.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When it arrived, in milliseconds.
    pub at: i64,
    /// When its end arrived; hours later when none did.
    pub end: i64,
    /// The source's key.
    pub key: SmolStr,
    /// The name of the alert.
    pub name: SmolStr,
    /// How bad.
    pub severity: Severity,
    /// The label `site`.
    pub site: Option<SmolStr>,
    /// The label `app` or `service`.
    pub app: Option<SmolStr>,
    /// What names the CI, in lower case, without domain and port.
    pub host: SmolStr,
    /// The words of the summary and labels.
    pub words: Vec<SmolStr>,
    /// The CI that it was bound to, as a position in the estate.
    pub ci: Option<usize>,
}

/// A way to group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// One incident per key.
    Key,
    /// One incident per host while alerts come within so many seconds.
    Host(i64),
    /// Everything that comes within so many seconds of the last.
    Gap(i64),
    /// Everything within fixed windows of so many seconds.
    Tumbling(i64),
    /// The same as a gap, for each site.
    SiteGap(i64),
    /// Equal name and site, while one fires.
    NameAndSite,
    /// Equal site, while one fires.
    Site,
    /// Equal name, site and service, while one fires.
    NameSiteService,
    /// Equal application within so many seconds.
    App(i64),
    /// Words alike to so many hundredths within so many seconds.
    Words(u32, i64),
    /// Coming and going alike: within so many seconds, a share of hundredths of time buckets in common.
    Rhythm(u32, i64),
    /// So many hops in the CMDB, seconds since the last, seconds since the first.
    Near(usize, i64, i64),
    /// Time and hops weighed as one distance of this size.
    Distance(u32),
}

impl Method {
    /// Its name in reports.
    pub fn name(self) -> String {
        match self {
            Self::Key => "B0 key".to_owned(),
            Self::Host(gap) => format!("B1 host {gap}s"),
            Self::Gap(gap) => format!("B2 gap {gap}s"),
            Self::Tumbling(width) => format!("B2 tumbling {width}s"),
            Self::SiteGap(gap) => format!("B2 site gap {gap}s"),
            Self::NameAndSite => "B3 alertname+site".to_owned(),
            Self::Site => "B3 site".to_owned(),
            Self::NameSiteService => "B3 alertname+site+service".to_owned(),
            Self::App(gap) => format!("B4 application {gap}s"),
            Self::Words(alike, gap) => format!("B5 words .{alike} {gap}s"),
            Self::Rhythm(alike, window) => format!("B5b rhythm .{alike} {window}s"),
            Self::Near(hops, gap, life) => format!("B6 hops {hops} {gap}s {life}s"),
            Self::Distance(size) => format!("B7 distance {size}"),
        }
    }

    /// As the products ship it.
    pub const SHIPPED: [Self; 12] = [
        Self::Key,
        Self::Host(900),
        Self::Gap(300),
        Self::Tumbling(300),
        Self::NameAndSite,
        Self::Site,
        Self::NameSiteService,
        Self::App(900),
        Self::Words(50, 900),
        Self::Rhythm(70, 1200),
        Self::Near(4, 600, 1800),
        Self::Distance(100),
    ];

    /// The best settings on the development seeds, by macro F1 on the small and the dense estate.
    pub const TUNED: [Self; 7] = [
        Self::Gap(30),
        Self::Gap(60),
        Self::SiteGap(120),
        Self::Words(40, 300),
        Self::Near(2, 120, 1800),
        Self::Distance(200),
        Self::Distance(250),
    ];

    /// What the search tries.
    pub fn grid() -> Vec<Self> {
        let mut grid = vec![
            Self::Key,
            Self::NameAndSite,
            Self::Site,
            Self::NameSiteService,
        ];
        for gap in [30, 60, 120, 300, 600] {
            grid.extend([Self::Gap(gap), Self::Tumbling(gap), Self::SiteGap(gap)]);
        }
        for gap in [300, 900] {
            grid.extend([Self::Host(gap), Self::App(gap)]);
            for alike in [30, 40, 50, 60] {
                grid.push(Self::Words(alike, gap));
            }
        }
        for hops in [1, 2, 3, 4] {
            for gap in [60, 120, 300, 600] {
                grid.push(Self::Near(hops, gap, 1800));
            }
        }
        grid.extend([100, 150, 200, 250, 300].map(Self::Distance));
        grid.extend([50, 70].map(|alike| Self::Rhythm(alike, 1200)));
        grid
    }
}

/// Groups alerts, given in order of arrival; the number of an incident for each.
pub fn group(method: Method, seen: &[Seen], hops: &Hops) -> Vec<usize> {
    match method {
        Method::Key => labels::by(seen, |it| Some(it.key.clone()), labels::Life::Gap(900)),
        Method::Host(gap) => labels::by(seen, |it| Some(it.host.clone()), labels::Life::Gap(gap)),
        Method::Gap(gap) => labels::by(seen, |_| Some(SmolStr::default()), labels::Life::Gap(gap)),
        Method::Tumbling(width) => time::tumbling(seen, width),
        Method::SiteGap(gap) => labels::by(seen, |it| it.site.clone(), labels::Life::Gap(gap)),
        Method::NameAndSite => labels::by(
            seen,
            |it| Some(labels::joined(it, false)),
            labels::Life::Firing,
        ),
        Method::Site => labels::by(
            seen,
            |it| Some(it.site.clone().unwrap_or_default()),
            labels::Life::Firing,
        ),
        Method::NameSiteService => labels::by(
            seen,
            |it| Some(labels::joined(it, true)),
            labels::Life::Firing,
        ),
        Method::App(gap) => labels::by(seen, |it| it.app.clone(), labels::Life::Gap(gap)),
        Method::Words(alike, gap) => labels::alike(seen, alike, gap),
        Method::Rhythm(alike, window) => time::rhythm(seen, alike, window),
        Method::Near(most, gap, life) => graph::near(seen, hops, (most, gap, life)),
        Method::Distance(size) => graph::distance(seen, hops, f64::from(size)),
    }
}
