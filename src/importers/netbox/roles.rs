//! What a device's role says about its class, and about who depends on whom at the two ends of a cable.
//!
//! Must not look at names of devices; they mean something else in every estate.

/// Words in a role and the class they mean, the more telling ones first.
const CLASSES: [(&str, &str); 24] = [
    ("firewall", "firewall"),
    ("load-balancer", "load-balancer"),
    ("loadbalancer", "load-balancer"),
    ("router", "router"),
    ("switch", "switch"),
    ("leaf", "switch"),
    ("spine", "switch"),
    ("patch", "patch-panel"),
    ("pdu", "pdu"),
    ("ups", "ups"),
    ("console", "console-server"),
    ("access-point", "access-point"),
    ("wireless", "access-point"),
    ("hypervisor", "hypervisor"),
    ("virtualization", "hypervisor"),
    ("esx", "hypervisor"),
    ("storage", "storage"),
    ("nas", "storage"),
    ("camera", "camera"),
    ("phone", "phone"),
    ("printer", "printer"),
    ("workstation", "workstation"),
    ("server", "server"),
    ("gateway", "router"),
];

/// The class of a device with this role; a role without a known word is its own class.
pub fn class(role: &str) -> String {
    let role = role.to_ascii_lowercase().replace([' ', '_'], "-");
    let parts: Vec<&str> = role.split('-').collect();
    let has = |word: &str| match word {
        // Short words must stand alone: groups are not uninterruptible power supplies.
        "ups" | "nas" | "esx" => parts.contains(&word),
        _ => role.contains(word),
    };
    let known = CLASSES.iter().find(|(word, _)| has(word));
    known.map_or(role.clone(), |(_, class)| (*class).to_owned())
}

/// How far a device is from the end of the network: who has the lower rank depends on who has the higher one.
pub fn rank(role: &str) -> u8 {
    let role = role.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| role.contains(word));
    match class(&role).as_str() {
        "switch" if has(&["core", "spine", "backbone"]) => 4,
        "switch" if has(&["dist", "aggr"]) => 3,
        "switch" => 2,
        "firewall" => 5,
        "router" => 6,
        "load-balancer" | "access-point" => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_become_classes_and_ranks() {
        let cases = [
            ("access-switch", "switch", 2),
            ("Core Switch", "switch", 4),
            ("distribution-switch", "switch", 3),
            ("router", "router", 6),
            ("patch-panel", "patch-panel", 0),
            ("application-server", "server", 0),
            ("groups", "groups", 0),
            ("rack ups", "ups", 0),
        ];
        for (role, wanted, level) in cases {
            assert_eq!(
                (class(role).as_str(), rank(role)),
                (wanted, level),
                "{role}"
            );
        }
    }
}
