//! Network gear by the place that it serves: switches by rack, routers by site.
//!
//! A CMDB often says where something stands and forgets what it is plugged into; then the place tells. Must not say
//! how much such a conclusion is worth.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use crate::core::cmdb::ci::{Ci, CiNumber};

/// Gear of one place that is kept; where there is more, nobody can tell which one it is.
const KEPT_MAX: usize = 3;

/// Gear by place.
#[derive(Clone, Debug, Default)]
pub struct Gear {
    racks: BTreeMap<(SmolStr, SmolStr), Vec<CiNumber>>,
    sites: BTreeMap<SmolStr, Vec<CiNumber>>,
}

impl Gear {
    /// The switches of a CI's rack, by number.
    pub fn of_rack(&self, ci: &Ci) -> &[CiNumber] {
        let place = rack(ci).and_then(|rack| self.racks.get(&rack));
        place.map_or(&[], |held| few(held))
    }

    /// The routers of a CI's site, by number.
    pub fn of_site(&self, ci: &Ci) -> &[CiNumber] {
        let place = ci.site.as_ref().and_then(|site| self.sites.get(site));
        place.map_or(&[], |held| few(held))
    }

    pub(crate) fn add(&mut self, ci: &Ci) {
        if ci.is_retired {
            return;
        }
        if is_switch(&ci.class) {
            if let Some(rack) = rack(ci) {
                insert(self.racks.entry(rack).or_default(), ci.number);
            }
        } else if let Some(site) = ci.site.clone().filter(|_| is_router(&ci.class)) {
            insert(self.sites.entry(site).or_default(), ci.number);
        }
    }

    pub(crate) fn remove(&mut self, ci: &Ci) {
        if let Some(rack) = rack(ci) {
            take(&mut self.racks, &rack, ci.number);
        }
        if let Some(site) = &ci.site {
            take(&mut self.sites, site, ci.number);
        }
    }
}

/// Whether a CI of that class connects a rack.
pub fn is_switch(class: &str) -> bool {
    !is_router(class) && (class.contains("switch") || class == "tor" || class == "leaf")
}

/// Whether a CI of that class connects a site.
pub fn is_router(class: &str) -> bool {
    let is_core = class.contains("core") || class.contains("gateway") || class.contains("spine");
    class.contains("router") || (is_core && !class.contains("api"))
}

fn few(held: &[CiNumber]) -> &[CiNumber] {
    if held.len() > KEPT_MAX { &[] } else { held }
}

fn rack(ci: &Ci) -> Option<(SmolStr, SmolStr)> {
    Some((ci.site.clone().unwrap_or_default(), ci.rack.clone()?))
}

fn insert(held: &mut Vec<CiNumber>, number: CiNumber) {
    if let Err(place) = held.binary_search(&number) {
        held.insert(place, number);
    }
}

fn take<K: Ord>(map: &mut BTreeMap<K, Vec<CiNumber>>, place: &K, number: CiNumber) {
    if let Some(held) = map.get_mut(place) {
        held.retain(|&other| other != number);
        if held.is_empty() {
            map.remove(place);
        }
    }
}
