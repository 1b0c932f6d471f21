//! The CMDB that the alerts of the generator are about: hosts in racks, a switch for each rack, routers above.
//!
//! With it imported Watchbell correlates the load, without it does not, so both can be measured with the same alerts. Must
//! not know a domain type: it writes the documented native format.

use std::io::{self, Write};

/// Hosts below one switch, and switches below one router.
const FAN_OUT: u64 = 20;
/// Alerts of one host.
const ALERTS_PER_HOST: u64 = 10;

/// Writes the CMDB of so many distinct alerts in the native format.
///
/// # Errors
/// The place cannot be written.
pub fn write(active: u64, to: &mut dyn Write) -> io::Result<()> {
    let hosts = active.div_ceil(ALERTS_PER_HOST).max(1);
    let switches = hosts.div_ceil(FAN_OUT);
    let routers = switches.div_ceil(FAN_OUT);
    writeln!(to, "{{\"cis\":[{{\"id\":\"bench\",\"class\":\"site\"}}")?;
    for router in 0..routers {
        writeln!(to, ",{{\"id\":\"router-{router}\",\"class\":\"router\"}}")?;
    }
    for switch in 0..switches {
        writeln!(to, ",{{\"id\":\"switch-{switch}\",\"class\":\"switch\"}}")?;
    }
    for host in 0..hosts {
        let rack = host / FAN_OUT;
        writeln!(
            to,
            ",{{\"id\":\"node-{host:07}\",\"class\":\"host\",\"rack\":\"rack-{rack}\"}}"
        )?;
    }
    let relation = |to: &mut dyn Write, from: String, provider: String, is_first: bool| {
        let comma = if is_first { "" } else { "," };
        writeln!(
            to,
            "{comma}{{\"from\":\"{from}\",\"to\":\"{provider}\",\"type\":\"connects_to\",\"role\":\"net\"}}"
        )
    };
    writeln!(to, "],\"relations\":[")?;
    for switch in 0..switches {
        let router = format!("router-{}", switch / FAN_OUT);
        relation(to, format!("switch-{switch}"), router, switch == 0)?;
    }
    for host in 0..hosts {
        let switch = format!("switch-{}", host / FAN_OUT);
        relation(to, format!("node-{host:07}"), switch, false)?;
    }
    writeln!(to, "]}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_of_the_alerts_is_there_once_and_hangs_on_its_switch() {
        let mut text = Vec::new();
        write(1_001, &mut text).unwrap();
        let cmdb: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let cis = cmdb["cis"].as_array().unwrap();
        let hosts = cis.iter().filter(|ci| ci["class"] == "host");
        assert_eq!(hosts.count(), 101);
        assert_eq!(cmdb["relations"].as_array().unwrap().len(), 101 + 6);
        let last = &cmdb["relations"][106];
        assert_eq!([&last["from"], &last["to"]], ["node-0000100", "switch-5"]);
    }
}
