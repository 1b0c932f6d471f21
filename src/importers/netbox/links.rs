//! What is connected to what: cables followed through patch panels to their ends.
//!
//! Must not decide who depends on whom.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

use crate::importers::netbox::rows::{Port, Rows, reference};
use crate::importers::value::{Object, number};

/// Ports that one search passes; a real path has fewer than ten.
const STEPS_MAX: usize = 256;

/// The cables and the insides of patch panels.
pub struct Links {
    peers: BTreeMap<Port, Vec<Port>>,
    /// Front port: its rear port and the position there.
    rear: BTreeMap<u64, (u64, u64)>,
    /// Rear port and position: its front port.
    front: BTreeMap<(u64, u64), u64>,
    /// Positions of rear ports.
    positions: BTreeMap<u64, u64>,
}

impl Links {
    /// Reads them.
    pub fn new(rows: &Rows) -> Self {
        let mut links = Self {
            peers: BTreeMap::new(),
            rear: BTreeMap::new(),
            front: BTreeMap::new(),
            positions: BTreeMap::new(),
        };
        for (left, right) in rows.cables().into_values() {
            for a in &left {
                for b in &right {
                    links.peers.entry(a.clone()).or_default().push(b.clone());
                    links.peers.entry(b.clone()).or_default().push(a.clone());
                }
            }
        }
        for (pk, row) in rows.all("dcim.frontport") {
            for (rear, position) in rear_ports(row) {
                links.rear.insert(pk, (rear, position));
                links.front.insert((rear, position), pk);
            }
        }
        for (pk, row) in rows.all("dcim.rearport") {
            links
                .positions
                .insert(pk, number(row, "positions").unwrap_or(1));
        }
        links
    }

    /// Every port that has a cable.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        self.peers.keys()
    }

    /// The ports at the far ends of the cable of a port, patch panels passed.
    pub fn ends(&self, start: &Port) -> Vec<Port> {
        let mut ends = Vec::new();
        let mut seen = BTreeSet::new();
        let mut open: Vec<(Port, Vec<u64>)> = vec![(start.clone(), Vec::new())];
        while let Some((port, stack)) = open.pop() {
            if !seen.insert(port.clone()) || seen.len() > STEPS_MAX {
                continue;
            }
            for peer in self.peers.get(&port).into_iter().flatten() {
                match peer.0.as_str() {
                    "dcim.frontport" | "dcim.rearport" => {
                        open.extend(self.inside(peer, stack.clone()));
                    }
                    _ => ends.push(peer.clone()),
                }
            }
        }
        ends.sort_unstable();
        ends.dedup();
        ends
    }

    /// The other side of a panel's port, and the positions that are left to find the way back out.
    fn inside(&self, port: &Port, mut stack: Vec<u64>) -> Option<(Port, Vec<u64>)> {
        if port.0 == "dcim.frontport" {
            let (rear, position) = *self.rear.get(&port.1)?;
            stack.push(position);
            return Some(((SmolStr::new_static("dcim.rearport"), rear), stack));
        }
        let only = (self.positions.get(&port.1) == Some(&1)).then_some(1);
        let position = stack.pop().or(only)?;
        let front = *self.front.get(&(port.1, position))?;
        Some(((SmolStr::new_static("dcim.frontport"), front), stack))
    }
}

/// `rear_port` and `rear_port_position`, or the list `rear_ports` of later versions.
fn rear_ports(row: &Object) -> Vec<(u64, u64)> {
    let position = |row: &Object| number(row, "rear_port_position").unwrap_or(1);
    match reference(row, "rear_port") {
        Some(rear) => vec![(rear, position(row))],
        None => crate::importers::value::objects(row, "rear_ports")
            .filter_map(|one| Some((reference(one, "rear_port")?, position(one))))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rows(list: &[(&str, u64, Value)]) -> Rows {
        let mut rows = Rows::default();
        for (model, pk, row) in list {
            rows.add(model, *pk, row.as_object().unwrap().clone());
        }
        rows
    }

    fn cable(a: (&str, u64), b: (&str, u64)) -> Value {
        let end = |(kind, port): (&str, u64)| json!([{"object_type": kind, "object_id": port}]);
        json!({"a_terminations": end(a), "b_terminations": end(b)})
    }

    /// Two panels with a trunk of two lines between them; each line comes out where it went in.
    #[test]
    fn lines_through_panels_come_out_at_their_own_position() {
        let front =
            |rear: u64, position: u64| json!({"rear_port": rear, "rear_port_position": position});
        let links = Links::new(&rows(&[
            ("dcim.frontport", 11, front(21, 1)),
            ("dcim.frontport", 12, front(21, 2)),
            ("dcim.frontport", 13, front(22, 1)),
            ("dcim.frontport", 14, front(22, 2)),
            ("dcim.rearport", 21, json!({"positions": 2})),
            ("dcim.rearport", 22, json!({"positions": 2})),
            (
                "dcim.cable",
                1,
                cable(("dcim.interface", 1), ("dcim.frontport", 11)),
            ),
            (
                "dcim.cable",
                2,
                cable(("dcim.interface", 2), ("dcim.frontport", 12)),
            ),
            (
                "dcim.cable",
                3,
                cable(("dcim.rearport", 21), ("dcim.rearport", 22)),
            ),
            (
                "dcim.cable",
                4,
                cable(("dcim.frontport", 13), ("dcim.interface", 3)),
            ),
            (
                "dcim.cable",
                5,
                cable(("dcim.frontport", 14), ("dcim.interface", 4)),
            ),
        ]));
        let port = |number: u64| (SmolStr::new_static("dcim.interface"), number);
        for (from, to) in [(1, 3), (2, 4), (3, 1), (4, 2)] {
            assert_eq!(links.ends(&port(from)), [port(to)], "{from}");
        }
    }

    #[test]
    fn cables_in_a_circle_come_to_an_end() {
        let links = Links::new(&rows(&[
            ("dcim.frontport", 11, json!({"rear_port": 21})),
            ("dcim.rearport", 21, json!({"positions": 1})),
            (
                "dcim.cable",
                1,
                cable(("dcim.rearport", 21), ("dcim.frontport", 11)),
            ),
            (
                "dcim.cable",
                2,
                cable(("dcim.interface", 1), ("dcim.frontport", 11)),
            ),
        ]));
        assert!(
            links
                .ends(&(SmolStr::new_static("dcim.interface"), 1))
                .len()
                < 2
        );
    }
}
