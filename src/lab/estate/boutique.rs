//! Another kind of estate: campuses with access switches, and a cluster of containers in which every tenant runs the same
//! small web shop.
//!
//! The call graph is that of a well-known demonstration of eleven services; there is no shared storage and no ring of
//! sites, but deep chains of calls and many pods per node. Must not share a builder with the data centres.

#![expect(
    clippy::indexing_slicing,
    reason = "CI numbers are positions that the estate itself hands out"
)]

use crate::lab::estate::{Class, Estate, Via};
use crate::lab::random::Random;

/// Services of one shop, with the services that each calls.
const SHOP: [(&str, &[usize]); 11] = [
    ("frontend", &[1, 2, 3, 4, 5, 8, 9]),
    ("cart", &[10]),
    ("catalog", &[]),
    ("currency", &[]),
    ("recommendation", &[2]),
    ("checkout", &[1, 2, 3, 6, 7, 8]),
    ("payment", &[]),
    ("email", &[]),
    ("shipping", &[]),
    ("ad", &[]),
    ("redis", &[]),
];

/// Builds an estate with so many tenants; about 45 CIs each, and as many for the campuses.
pub fn build(tenants: usize, seed: u64) -> Estate {
    let mut estate = Estate::default();
    let mut random = Random::new(seed, "boutique");
    for site in 0..3 {
        let name = format!("campus{site}");
        estate.sites.push(name.clone().into());
        let place = estate.add(name.clone(), Class::Site, site);
        let feed = estate.add(format!("mains-{name}"), Class::Feed, site);
        let core = estate.add(format!("br-{name}"), Class::Core, site);
        estate.link(core, place, Via::Site);
        estate.link(core, feed, Via::PowerSingle);
        for number in 0..2 + tenants / 4 {
            let pdu = estate.add(format!("ups-{name}-{number}"), Class::Pdu, site);
            estate.link(pdu, feed, Via::PowerSingle);
            let switch = estate.add(format!("as-{name}-{number}"), Class::Tor, site);
            estate.link(switch, core, Via::Net);
            estate.link(switch, pdu, Via::PowerSingle);
            for index in 0..4 {
                let node = estate.add(
                    format!("node-{name}-{number}-{index}"),
                    Class::Hypervisor,
                    site,
                );
                estate.link(node, switch, Via::Net);
                estate.link(node, pdu, Via::PowerSingle);
            }
        }
        let dns = estate.add(format!("coredns-{name}"), Class::Dns, site);
        estate.link(dns, core, Via::Net);
    }
    for (from, to) in [(0, 1), (1, 2)] {
        let link = estate.add(format!("darkfibre-{from}-{to}"), Class::Wan, from);
        for site in [from, to] {
            let core = estate.at(site, Class::Core)[0];
            estate.link(link, core, Via::Net);
        }
    }
    for tenant in 0..tenants {
        shop(&mut estate, &mut random, tenant);
    }
    for number in 0..2 {
        let monitor = estate.add(format!("prometheus-{number}"), Class::Monitor, number);
        let core = estate.at(number, Class::Core)[0];
        estate.link(monitor, core, Via::Net);
    }
    estate.watch();
    estate
}

fn shop(estate: &mut Estate, random: &mut Random, tenant: usize) {
    let site = tenant % 3;
    let nodes = estate.at(site, Class::Hypervisor).to_vec();
    let dns = estate.at(site, Class::Dns)[0];
    let certificate = estate.add(format!("tls-shop{tenant}"), Class::Certificate, site);
    let services: Vec<usize> = SHOP
        .iter()
        .map(|(name, _)| {
            let class = if *name == "redis" {
                Class::Database
            } else {
                Class::Application
            };
            estate.add(format!("shop{tenant}-{name}"), class, site)
        })
        .collect();
    for (index, (name, calls)) in SHOP.iter().enumerate() {
        let service = services[index];
        for replica in 0..random.between(1, 3) {
            let pod = estate.add(format!("shop{tenant}-{name}-{replica}"), Class::Vm, site);
            estate.cis[pod].app = Some(service);
            if let Some(&node) = random.pick(&nodes) {
                estate.link(pod, node, Via::Host);
            }
            let via = match (*name, replica) {
                ("redis", 0) => Via::Primary,
                ("redis", _) => Via::Replica,
                _ => Via::Member,
            };
            estate.link(service, pod, via);
        }
        for &callee in *calls {
            let via = if SHOP[callee].0 == "redis" {
                Via::Database
            } else {
                Via::Call
            };
            estate.link(service, services[callee], via);
        }
        estate.link(service, dns, Via::Dns);
    }
    estate.link(services[0], certificate, Via::Certificate);
    let business = estate.add(format!("webshop-{tenant}"), Class::Business, site);
    estate.cis[business].criticality = u8::try_from(1 + tenant % 4).ok();
    for part in [0, 5] {
        estate.link(business, services[part], Via::Part);
    }
}
