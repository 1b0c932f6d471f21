//! A made-up estate as it truly is: what stands where, and what depends on what.
//!
//! The CMDB is another matter: it is this with errors in it ([`record`]). Links point from the dependent to its
//! provider. Must not hold anything that happens; that is a story's.

#![expect(
    clippy::indexing_slicing,
    reason = "CI numbers are positions that the estate itself hands out"
)]

pub mod boutique;
pub mod datacentre;
pub mod record;

use smol_str::SmolStr;

/// What a CI is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A place.
    Site,
    /// A power feed of a site.
    Feed,
    /// A power strip of a rack.
    Pdu,
    /// A core switch.
    Core,
    /// A top-of-rack or access switch.
    Tor,
    /// A machine that runs others.
    Hypervisor,
    /// Shared storage.
    Array,
    /// A virtual machine or pod.
    Vm,
    /// A load balancer.
    Balancer,
    /// A resolver.
    Dns,
    /// A directory server.
    Directory,
    /// A time server.
    Ntp,
    /// A link between sites.
    Wan,
    /// A database cluster.
    Database,
    /// A technical service.
    Application,
    /// A certificate.
    Certificate,
    /// What the business calls a service.
    Business,
    /// A monitoring server.
    Monitor,
}

impl Class {
    /// The class in the CMDB.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::Feed => "power_feed",
            Self::Pdu => "pdu",
            Self::Core => "router",
            Self::Tor => "switch",
            Self::Hypervisor => "host",
            Self::Array => "storage",
            Self::Vm => "vm",
            Self::Balancer => "load_balancer",
            Self::Dns => "dns",
            Self::Directory => "directory",
            Self::Ntp => "ntp",
            Self::Wan => "wan_link",
            Self::Database => "database",
            Self::Application => "application",
            Self::Certificate => "certificate",
            Self::Business => "service",
            Self::Monitor => "monitoring",
        }
    }
}

/// How one CI depends on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Via {
    /// Network uplink.
    Net,
    /// The only power.
    PowerSingle,
    /// One of two feeds.
    PowerDual,
    /// Runs on.
    Host,
    /// Has its disks there.
    Storage,
    /// Uses a database.
    Database,
    /// Calls.
    Call,
    /// Resolves names.
    Dns,
    /// Logs in.
    Directory,
    /// Shows this certificate.
    Certificate,
    /// Is made of, with others alike.
    Member,
    /// The member that writes.
    Primary,
    /// A member that stands by.
    Replica,
    /// A part of a business service.
    Part,
    /// A call goes over this link; derived, in no CMDB.
    Path,
    /// Stands there.
    Site,
}

/// One CI.
#[derive(Clone, Debug)]
pub struct Ci {
    /// Its id, which is its short name.
    pub id: SmolStr,
    /// What it is.
    pub class: Class,
    /// Where it stands.
    pub site: usize,
    /// Its rack.
    pub rack: Option<SmolStr>,
    /// The technical service it is a member of.
    pub app: Option<usize>,
    /// Its management address.
    pub address: SmolStr,
    /// 1 to 5.
    pub criticality: Option<u8>,
    /// The monitoring server that looks at it.
    pub monitor: Option<usize>,
}

/// One dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The dependent.
    pub from: usize,
    /// The provider.
    pub to: usize,
    /// How.
    pub via: Via,
}

/// Everything there is.
#[derive(Clone, Debug, Default)]
pub struct Estate {
    /// Names of sites.
    pub sites: Vec<SmolStr>,
    /// CIs; a CI's number is its position.
    pub cis: Vec<Ci>,
    /// Dependencies.
    pub links: Vec<Link>,
    providers: Vec<Vec<usize>>,
    dependents: Vec<Vec<usize>>,
    by_class: std::collections::BTreeMap<Class, Vec<usize>>,
    by_site: std::collections::BTreeMap<(usize, Class), Vec<usize>>,
}

impl Estate {
    /// Adds a CI and tells its number.
    pub fn add(&mut self, id: impl Into<SmolStr>, class: Class, site: usize) -> usize {
        let number = self.cis.len();
        let (high, low) = (number / 250, number % 250);
        self.cis.push(Ci {
            id: id.into(),
            class,
            site,
            rack: None,
            app: None,
            address: format!("10.{}.{}.{}", high / 250, high % 250, low + 1).into(),
            criticality: None,
            monitor: None,
        });
        self.providers.push(Vec::new());
        self.dependents.push(Vec::new());
        self.by_class.entry(class).or_default().push(number);
        self.by_site.entry((site, class)).or_default().push(number);
        number
    }

    /// Adds a dependency, once.
    pub fn link(&mut self, from: usize, to: usize, via: Via) {
        let link = Link { from, to, via };
        let is_known = self.providers[from]
            .iter()
            .any(|&held| self.links[held] == link);
        if from == to || is_known {
            return;
        }
        let index = self.links.len();
        self.links.push(link);
        self.providers[from].push(index);
        self.dependents[to].push(index);
    }

    /// Every CI of a class.
    pub fn of(&self, class: Class) -> &[usize] {
        self.by_class.get(&class).map_or(&[], Vec::as_slice)
    }

    /// Every CI of a class at a site.
    pub fn at(&self, site: usize, class: Class) -> &[usize] {
        self.by_site.get(&(site, class)).map_or(&[], Vec::as_slice)
    }

    /// What a CI depends on.
    pub fn providers(&self, ci: usize) -> impl Iterator<Item = Link> {
        self.providers[ci].iter().map(|&link| self.links[link])
    }

    /// What depends on a CI.
    pub fn dependents(&self, ci: usize) -> impl Iterator<Item = Link> {
        self.dependents[ci].iter().map(|&link| self.links[link])
    }

    /// Shares out the monitoring servers: each CI is looked at by one, neighbours by the same.
    pub fn watch(&mut self) {
        let monitors = self.of(Class::Monitor).to_vec();
        if monitors.is_empty() {
            return;
        }
        for number in 0..self.cis.len() {
            let ci = &mut self.cis[number];
            let is_watched = !matches!(ci.class, Class::Site | Class::Business | Class::Monitor);
            ci.monitor = is_watched.then(|| monitors[(ci.site * 7 + number / 40) % monitors.len()]);
        }
    }

    /// Hops between two CIs, whichever way links point; `None` beyond `most`.
    pub fn distance(&self, from: usize, to: usize, most: usize) -> Option<usize> {
        let mut seen = std::collections::BTreeSet::from([from]);
        let mut edge = vec![from];
        for hops in 0..=most {
            if edge.contains(&to) {
                return Some(hops);
            }
            let mut next = Vec::new();
            for ci in edge {
                let up = self.providers(ci).map(|link| link.to);
                let down = self.dependents(ci).map(|link| link.from);
                for other in up.chain(down) {
                    if seen.insert(other) {
                        next.push(other);
                    }
                }
            }
            edge = next;
        }
        None
    }
}
