//! Data centres with racks, virtual machines, shared storage and services that call each other.
//!
//! Shares follow the table of the benchmark's design; the seed decides who stands where and who uses whom. Must not look
//! at the other kind of estate: they are meant to differ.

#![expect(
    clippy::indexing_slicing,
    reason = "CI numbers are positions that the estate itself hands out"
)]

use std::collections::{BTreeMap, VecDeque};

use crate::lab::estate::{Class, Estate, Via};
use crate::lab::random::Random;

/// How many there are of what.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Sites.
    pub sites: usize,
    /// Core switches.
    pub cores: usize,
    /// Racks, with one switch and one power strip each.
    pub racks: usize,
    /// Machines.
    pub hypervisors: usize,
    /// Storage arrays.
    pub arrays: usize,
    /// Virtual machines.
    pub vms: usize,
    /// Load balancers, resolvers, directory and time servers of each kind.
    pub helpers: usize,
    /// Links between sites.
    pub links: usize,
    /// Database clusters.
    pub databases: usize,
    /// Technical services.
    pub services: usize,
    /// Certificates.
    pub certificates: usize,
    /// Business services.
    pub businesses: usize,
    /// Monitoring servers.
    pub monitors: usize,
    /// Of ten parts, how many stand at the first site beyond its fair share.
    pub lopsided: usize,
}

impl Scale {
    /// About a thousand CIs.
    pub const SMALL: Self = Self {
        sites: 4,
        cores: 4,
        racks: 24,
        hypervisors: 192,
        arrays: 8,
        vms: 768,
        helpers: 4,
        links: 4,
        databases: 15,
        services: 60,
        certificates: 18,
        businesses: 12,
        monitors: 3,
        lopsided: 0,
    };
    /// About 4,400 CIs.
    pub const DENSE: Self = Self {
        sites: 6,
        cores: 12,
        racks: 90,
        hypervisors: 720,
        arrays: 30,
        vms: 2_900,
        helpers: 6,
        links: 8,
        databases: 60,
        services: 240,
        certificates: 70,
        businesses: 48,
        monitors: 6,
        lopsided: 0,
    };
    /// About 100,000 CIs, a fifth of them at one site.
    pub const LARGE: Self = Self {
        sites: 20,
        cores: 120,
        racks: 2_000,
        hypervisors: 6_000,
        arrays: 200,
        vms: 78_000,
        helpers: 30,
        links: 60,
        databases: 1_500,
        services: 6_000,
        certificates: 2_000,
        businesses: 800,
        monitors: 40,
        lopsided: 2,
    };
}

/// Builds an estate.
pub fn build(scale: &Scale, seed: u64) -> Estate {
    let mut builder = Builder {
        estate: Estate::default(),
        random: Random::new(seed, "estate"),
        scale: *scale,
    };
    builder.places();
    builder.racks();
    builder.machines();
    builder.links();
    builder.databases();
    builder.services();
    builder.calls();
    builder.businesses();
    for number in 0..scale.monitors {
        let site = number % scale.sites;
        let monitor = builder
            .estate
            .add(format!("mon-{}", number + 1), Class::Monitor, site);
        builder.uplink(monitor, Class::Core);
    }
    builder.estate.watch();
    builder.estate
}

struct Builder {
    estate: Estate,
    random: Random,
    scale: Scale,
}

const REGIONS: [&str; 5] = ["eu", "us", "ap", "sa", "af"];

impl Builder {
    /// The site of the `number`th of something.
    fn site(&mut self, number: usize) -> usize {
        if self.random.below(10) < self.scale.lopsided {
            return 0;
        }
        number % self.scale.sites
    }

    fn name(&self, site: usize) -> String {
        self.estate.sites[site].to_string()
    }

    fn uplink(&mut self, from: usize, class: Class) {
        let site = self.estate.cis[from].site;
        let of = self.estate.at(site, class);
        if let Some(&to) = self.random.pick(of) {
            self.estate.link(from, to, Via::Net);
        }
    }

    fn places(&mut self) {
        for site in 0..self.scale.sites {
            let name = format!(
                "{}{}",
                REGIONS[site % REGIONS.len()],
                site / REGIONS.len() + 1
            );
            self.estate.sites.push(name.clone().into());
            self.estate.add(name.clone(), Class::Site, site);
            for letter in ["a", "b"] {
                self.estate
                    .add(format!("feed-{name}-{letter}"), Class::Feed, site);
            }
        }
        for number in 0..self.scale.cores {
            let site = number % self.scale.sites;
            let name = format!("core-{}-{}", self.name(site), number / self.scale.sites + 1);
            let core = self.estate.add(name, Class::Core, site);
            let place = self.estate.at(site, Class::Site)[0];
            self.estate.link(core, place, Via::Site);
            for feed in self.estate.at(site, Class::Feed).to_vec() {
                self.estate.link(core, feed, Via::PowerDual);
            }
        }
        for number in 0..self.scale.helpers {
            let kinds = [
                ("lb", Class::Balancer),
                ("dns", Class::Dns),
                ("ldap", Class::Directory),
                ("ntp", Class::Ntp),
            ];
            for (word, class) in kinds {
                let site = number % self.scale.sites;
                let name = format!(
                    "{word}-{}-{}",
                    self.name(site),
                    number / self.scale.sites + 1
                );
                let helper = self.estate.add(name, class, site);
                self.uplink(helper, Class::Core);
            }
        }
        for number in 0..self.scale.arrays {
            let site = self.site(number);
            let name = format!("san-{}-{number}", self.name(site));
            let array = self.estate.add(name, Class::Array, site);
            self.uplink(array, Class::Core);
        }
    }

    /// A switch and a power strip for each rack.
    fn racks(&mut self) {
        for number in 0..self.scale.racks {
            let site = self.site(number);
            let rack = format!("{}-r{number:02}", self.name(site));
            let pdu = self.estate.add(format!("pdu-{rack}"), Class::Pdu, site);
            let feeds = self.estate.at(site, Class::Feed).to_vec();
            self.estate.link(pdu, feeds[number % 2], Via::PowerSingle);
            let tor = self.estate.add(format!("tor-{rack}"), Class::Tor, site);
            for ci in [pdu, tor] {
                self.estate.cis[ci].rack = Some(rack.clone().into());
            }
            self.uplink(tor, Class::Core);
            self.power(tor, pdu);
        }
    }

    /// Three quarters have a second cord to the other feed.
    fn power(&mut self, device: usize, pdu: usize) {
        let other = self
            .estate
            .providers(pdu)
            .find(|link| link.via == Via::PowerSingle);
        let site = self.estate.cis[device].site;
        let feeds = self.estate.at(site, Class::Feed).to_vec();
        let second = feeds
            .into_iter()
            .find(|&feed| other.is_some_and(|link| link.to != feed));
        match second.filter(|_| self.random.chance(0.75)) {
            Some(feed) => {
                self.estate.link(device, pdu, Via::PowerDual);
                self.estate.link(device, feed, Via::PowerDual);
            }
            None => self.estate.link(device, pdu, Via::PowerSingle),
        }
    }

    fn machines(&mut self) {
        let tors = self.estate.of(Class::Tor).to_vec();
        for number in 0..self.scale.hypervisors {
            let tor = tors[number % tors.len()];
            let (site, rack) = (self.estate.cis[tor].site, self.estate.cis[tor].rack.clone());
            let name = format!(
                "hv-{}-{}",
                rack.as_deref().unwrap_or("x"),
                number / tors.len()
            );
            let machine = self.estate.add(name, Class::Hypervisor, site);
            self.estate.cis[machine].rack = rack;
            self.estate.link(machine, tor, Via::Net);
            // The strip was made right before the switch.
            self.power(machine, tor - 1);
        }
        let machines = self.estate.of(Class::Hypervisor).to_vec();
        for number in 0..self.scale.vms {
            let machine = machines[(number + self.random.below(3)) % machines.len()];
            let site = self.estate.cis[machine].site;
            let vm = self.estate.add(format!("vm{number:04}"), Class::Vm, site);
            self.estate.link(vm, machine, Via::Host);
            let arrays = self.estate.at(site, Class::Array);
            if let Some(&array) = self.random.pick(arrays) {
                self.estate.link(vm, array, Via::Storage);
            }
        }
    }

    /// A ring between the sites, then chords.
    fn links(&mut self) {
        for number in 0..self.scale.links {
            let from = number % self.scale.sites;
            let step = 1 + number / self.scale.sites;
            let to = (from + step) % self.scale.sites;
            let name = format!("wan-{}-{}-{number}", self.name(from), self.name(to));
            let link = self.estate.add(name, Class::Wan, from);
            for site in [from, to] {
                if let Some(&core) = self.estate.at(site, Class::Core).first() {
                    self.estate.link(link, core, Via::Net);
                }
            }
        }
    }

    /// Takes machines at a site that belong to nothing yet.
    fn free_vms(&mut self, site: usize, count: usize) -> Vec<usize> {
        let vms = self.estate.at(site, Class::Vm).to_vec();
        let mut taken = Vec::new();
        for _ in 0..count * 20 {
            let Some(&vm) = self.random.pick(&vms) else {
                break;
            };
            if self.estate.cis[vm].app.is_none() && !taken.contains(&vm) {
                taken.push(vm);
            }
            if taken.len() == count {
                break;
            }
        }
        taken
    }

    fn databases(&mut self) {
        for number in 0..self.scale.databases {
            let site = self.site(number);
            let database = self
                .estate
                .add(format!("db-{number:02}"), Class::Database, site);
            let count = self.random.between(2, 3);
            for (index, vm) in self.free_vms(site, count).into_iter().enumerate() {
                let via = if index == 0 {
                    Via::Primary
                } else {
                    Via::Replica
                };
                self.estate.link(database, vm, via);
                self.estate.cis[vm].app = Some(database);
            }
        }
    }

    fn services(&mut self) {
        let certificates: Vec<usize> = (0..self.scale.certificates)
            .map(|number| {
                self.estate
                    .add(format!("cert-{number:02}"), Class::Certificate, 0)
            })
            .collect();
        let mut next_certificate = 0;
        for number in 0..self.scale.services {
            let site = self.site(number);
            let service = self
                .estate
                .add(format!("svc-{number:02}"), Class::Application, site);
            let count = self.random.between(3, 8);
            let is_spread = self.random.chance(0.3);
            for index in 0..count {
                let other = (site + 1) % self.scale.sites;
                let place = if is_spread && index % 2 == 1 {
                    other
                } else {
                    site
                };
                for vm in self.free_vms(place, 1) {
                    self.estate.link(service, vm, Via::Member);
                    self.estate.cis[vm].app = Some(service);
                }
            }
            let databases = self.estate.at(site, Class::Database);
            if let Some(&database) = self.random.pick(databases).filter(|_| number % 5 != 4) {
                self.estate.link(service, database, Via::Database);
            }
            let resolvers = [self.estate.at(site, Class::Dns), self.estate.of(Class::Dns)];
            let resolvers = resolvers.into_iter().find(|of| !of.is_empty());
            if let Some(&dns) = resolvers.and_then(|of| self.random.pick(of)) {
                self.estate.link(service, dns, Via::Dns);
            }
            if self.random.chance(0.3)
                && let Some(&directory) = self.random.pick(self.estate.of(Class::Directory))
            {
                self.estate.link(service, directory, Via::Directory);
            }
            if self.random.chance(0.35) && !certificates.is_empty() {
                let certificate = certificates[next_certificate % certificates.len()];
                next_certificate += 1;
                self.estate.link(service, certificate, Via::Certificate);
            }
        }
    }

    /// Popular services are called by many; few calls go in circles.
    fn calls(&mut self) {
        let services = self.estate.of(Class::Application).to_vec();
        let paths = paths(&self.estate);
        for (index, &caller) in services.iter().enumerate() {
            for _ in 0..self.random.between(0, 3) {
                let unit = self.random.unit();
                let reach = if self.random.chance(0.05) {
                    services.len()
                } else {
                    index
                };
                let mut callee = self.random.below(reach.max(1));
                // The square makes the first ones popular.
                while self.random.unit() > unit.max(0.3) && callee > 0 {
                    callee /= 2;
                }
                let callee = services[callee];
                if callee == caller {
                    continue;
                }
                self.estate.link(caller, callee, Via::Call);
                let ends = (self.estate.cis[caller].site, self.estate.cis[callee].site);
                for &link in paths.get(&ends).into_iter().flatten() {
                    self.estate.link(caller, link, Via::Path);
                }
            }
        }
    }

    fn businesses(&mut self) {
        let services = self.estate.of(Class::Application).to_vec();
        for number in 0..self.scale.businesses {
            let business = self
                .estate
                .add(format!("biz-{number:02}"), Class::Business, 0);
            let criticality = 1 + self.random.below(4);
            self.estate.cis[business].criticality = u8::try_from(criticality).ok();
            for _ in 0..self.random.between(2, 5) {
                if let Some(&service) = self.random.pick(&services) {
                    self.estate.link(business, service, Via::Part);
                }
            }
        }
    }
}

/// The links between every two sites on a shortest way.
fn paths(estate: &Estate) -> BTreeMap<(usize, usize), Vec<usize>> {
    let ends: Vec<(usize, Vec<usize>)> = estate
        .of(Class::Wan)
        .iter()
        .map(|&link| {
            let cores = estate.providers(link);
            (link, cores.map(|core| estate.cis[core.to].site).collect())
        })
        .collect();
    let mut paths = BTreeMap::new();
    for from in 0..estate.sites.len() {
        let mut ways: BTreeMap<usize, Vec<usize>> = BTreeMap::from([(from, Vec::new())]);
        let mut open = VecDeque::from([from]);
        while let Some(site) = open.pop_front() {
            for (link, sites) in &ends {
                if !sites.contains(&site) {
                    continue;
                }
                for &next in sites {
                    if !ways.contains_key(&next) {
                        let mut way = ways.get(&site).cloned().unwrap_or_default();
                        way.push(*link);
                        ways.insert(next, way);
                        open.push_back(next);
                    }
                }
            }
        }
        for (to, way) in ways {
            if to != from {
                paths.insert((from, to), way);
            }
        }
    }
    paths
}
