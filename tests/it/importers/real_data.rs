//! Two inventories of the real world, with counts that were taken from the files by other means.
//!
//! The files lie beside the package and are left out like a missing tool when they do not.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;

use flate2::read::GzDecoder;
use serde_json::Value;
use watchbell::core::cmdb::record::{Picture, RelationRecord};
use watchbell::importers::graphml::GraphMl;
use watchbell::importers::netbox::rows::Rows;
use watchbell::importers::{Format as _, NamedBytes, guess};

use crate::support::tools::missing;
use crate::support::tree::top;

fn shared(path: &str) -> Option<PathBuf> {
    // A worktree lies one folder deeper than the main checkout.
    let found = ["..", "../.."]
        .map(|up| top().join(up).join("shared/data").join(path))
        .into_iter()
        .find(|path| path.is_file());
    if found.is_none() {
        missing(&format!("../shared/data/{path}"));
    }
    found
}

fn unpacked(path: &str) -> Option<Vec<u8>> {
    let file = std::fs::File::open(shared(path)?).unwrap();
    let mut bytes = Vec::new();
    GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    Some(bytes)
}

fn named(name: &str, bytes: Vec<u8>) -> NamedBytes {
    NamedBytes {
        name: name.to_owned(),
        bytes: bytes.into(),
    }
}

fn classes(picture: &Picture) -> BTreeMap<&str, usize> {
    let mut classes = BTreeMap::new();
    for ci in &picture.cis {
        *classes.entry(ci.class.as_str()).or_default() += 1;
    }
    classes
}

fn count(picture: &Picture, test: impl Fn(&RelationRecord) -> bool) -> usize {
    picture.relations.iter().filter(|one| test(one)).count()
}

fn netbox() -> Option<(Vec<u8>, Picture)> {
    let bytes = unpacked("netbox_demo/netbox-demo-v3.6.infra.json.gz")?;
    let picture = read_netbox(bytes.clone());
    Some((bytes, picture))
}

fn read_netbox(bytes: Vec<u8>) -> Picture {
    let file = named("netbox-demo.json", bytes);
    let format = guess(std::slice::from_ref(&file)).unwrap();
    assert_eq!(format.name(), "netbox");
    format.read(&[file]).unwrap()
}

#[test]
fn the_netbox_demo_has_the_items_that_its_dump_has() {
    let Some((bytes, picture)) = netbox() else {
        return;
    };
    let mut rows = Rows::default();
    let dump: Value = serde_json::from_slice(&bytes).unwrap();
    for row in dump.as_array().unwrap() {
        if let (Some(pk), Some(fields)) = (row["pk"].as_u64(), row["fields"].as_object()) {
            rows.add(row["model"].as_str().unwrap(), pk, fields.clone());
        }
    }
    let published = [
        ("dcim.device", 72),
        ("virtualization.virtualmachine", 180),
        ("virtualization.cluster", 32),
        ("dcim.rack", 42),
        ("dcim.site", 24),
        ("dcim.powerfeed", 48),
        ("dcim.poweroutlet", 104),
        ("dcim.cable", 108),
        ("circuits.circuit", 29),
    ];
    for (model, wanted) in published {
        assert_eq!(rows.count(model), wanted, "{model}");
    }
    assert_eq!(rows.cables().len(), 108);
    let wanted = [
        ("circuit", 29),
        ("cluster", 32),
        ("patch-panel", 19),
        ("pdu", 13),
        ("power-feed", 48),
        ("power-panel", 4),
        ("provider", 9),
        ("provider-network", 1),
        ("rack", 42),
        ("router", 13),
        ("server", 1),
        ("site", 24),
        // 26 devices and 4 virtual chassis.
        ("switch", 30),
        ("vm", 180),
    ];
    assert_eq!(classes(&picture), BTreeMap::from(wanted));
    assert_eq!(picture.problems, []);
    assert!(picture.cis.iter().all(|ci| !ci.name.is_empty()));
}

/// The expected links were counted in the cable paths that NetBox itself had computed and stored in the dump, which the
/// importer does not look at.
#[test]
fn the_cables_of_the_netbox_demo_lead_where_netbox_says() {
    let Some((_, picture)) = netbox() else {
        return;
    };
    let names: BTreeMap<_, _> = picture.cis.iter().map(|ci| (ci.id.as_str(), ci)).collect();
    let is = |id: &str, class: &str| names.get(id).is_some_and(|ci| ci.class == class);
    let kind = |one: &RelationRecord, kind: &str| one.kind == kind;
    let is_net = |one: &RelationRecord| kind(one, "connects_to");
    assert_eq!(
        count(&picture, |one| kind(one, "hosted_on")),
        180,
        "a machine on its cluster each"
    );
    assert_eq!(
        count(&picture, |one| kind(one, "member_of")),
        8,
        "members of virtual chassis"
    );
    assert_eq!(
        count(&picture, |one| kind(one, "powered_by")
            && is(&one.from, "rack")),
        48
    );
    assert_eq!(
        count(&picture, |one| kind(one, "powered_by")
            && is(&one.from, "power-feed")),
        48
    );
    assert_eq!(
        count(&picture, |one| kind(one, "powered_by")
            && is(&one.to, "pdu")),
        26
    );
    assert_eq!(
        count(&picture, |one| is_net(one) && is(&one.to, "circuit")),
        35
    );
    assert_eq!(
        count(&picture, |one| is_net(one)
            && one.confidence == Some(8_000)
            && !is(&one.to, "circuit")),
        13
    );
    assert_eq!(
        count(&picture, |one| is_net(one) && one.confidence == Some(4_000)),
        0
    );
    // Two feeds of a rack are redundant to each other.
    assert_eq!(
        count(&picture, |one| is(&one.from, "rack")
            && one.group.as_deref() == Some("power")),
        48
    );
    // Every end that is named is there.
    assert_eq!(
        count(&picture, |one| !names.contains_key(one.from.as_str())
            || !names.contains_key(one.to.as_str())),
        0
    );
}

#[test]
fn the_topology_zoo_has_every_node_and_link() {
    let Some(bytes) = unpacked("topology_zoo/graphml.tar.gz") else {
        return;
    };
    let (mut graphs, mut nodes, mut edges, mut relations, mut loops) = (0, 0, 0, 0, 0);
    let mut sizes = Vec::new();
    for file in tar(&bytes) {
        let text = String::from_utf8_lossy(&file.bytes).into_owned();
        let picture = GraphMl
            .read(std::slice::from_ref(&file))
            .unwrap_or_else(|error| panic!("{error}"));
        graphs += 1;
        nodes += picture.cis.len();
        sizes.push(picture.cis.len());
        edges += text.matches("<edge ").count();
        relations += picture.relations.len();
        loops += picture
            .problems
            .iter()
            .filter(|one| one.text.contains("itself"))
            .count();
        assert_eq!(
            picture.cis.len(),
            text.matches("<node ").count(),
            "{}",
            file.name
        );
        assert_eq!(
            picture.problems.len(),
            picture
                .problems
                .iter()
                .filter(|one| one.text.contains("itself"))
                .count(),
            "{}: {:?}",
            file.name,
            picture.problems
        );
    }
    assert_eq!((graphs, nodes, edges), (276, 10_952, 13_976));
    assert_eq!(
        (sizes.iter().min(), sizes.iter().max()),
        (Some(&4), Some(&754))
    );
    // Parallel links between two nodes are one relation in each direction.
    assert_eq!((relations, loops), (26_640, 2));
}

/// The files of a tar archive: headers of 512 bytes, contents rounded up to that.
fn tar(bytes: &[u8]) -> Vec<NamedBytes> {
    let mut files = Vec::new();
    let mut rest = bytes;
    while rest.len() >= 512 && rest[0] != 0 {
        let (header, after) = rest.split_at(512);
        let field = |range: std::ops::Range<usize>| {
            let text = header[range].split(|byte| *byte == 0).next().unwrap();
            String::from_utf8_lossy(text).trim().to_owned()
        };
        let size = usize::from_str_radix(&field(124..136), 8).unwrap();
        let name = field(0..100);
        if header[156] == b'0' && name.ends_with(".graphml") {
            files.push(named(&name, after[..size].to_vec()));
        }
        rest = &after[size.next_multiple_of(512)..];
    }
    files
}
