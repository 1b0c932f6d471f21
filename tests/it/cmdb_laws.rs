//! What reconciliation promises for any imports: idempotence, order independence, and differences that add up.

use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};
use smol_str::SmolStr;
use watchbell::core::cmdb::ci::{Identifier, IdentifierKind};
use watchbell::core::cmdb::graph::Graph;
use watchbell::core::cmdb::merge::{Merged, Precedence, merge};
use watchbell::core::cmdb::reconcile::{Known, delete_share, first_difference, is_held, reconcile};
use watchbell::core::cmdb::record::{CiRecord, Picture, RelationRecord};

fn ci() -> impl Strategy<Value = CiRecord> {
    (
        0..8_u8,
        0..4_u8,
        any::<bool>(),
        0..6_u8,
        prop::option::of(0..3_u8),
    )
        .prop_map(|(id, class, is_retired, serial, site)| CiRecord {
            id: format!("ci{id}").into(),
            class: format!("class{class}").into(),
            name: format!("ci{id}").into(),
            is_retired,
            site: site.map(|site| format!("site{site}").into()),
            identifiers: vec![Identifier {
                kind: IdentifierKind::Serial,
                text: format!("S{serial}").into(),
            }],
            ..CiRecord::default()
        })
}

fn relation() -> impl Strategy<Value = RelationRecord> {
    (0..9_u8, 0..9_u8, 0..2_u8).prop_map(|(from, to, kind)| RelationRecord {
        from: format!("ci{from}").into(),
        to: format!("ci{to}").into(),
        kind: ["runs_on", "odd word"][usize::from(kind)].into(),
        ..RelationRecord::default()
    })
}

pub(crate) fn picture() -> impl Strategy<Value = Picture> {
    let cis = prop::collection::vec(ci(), 0..6);
    (cis, prop::collection::vec(relation(), 0..10)).prop_map(|(mut cis, relations)| {
        cis.sort_by(|left, right| left.id.cmp(&right.id));
        cis.dedup_by(|left, right| left.id == right.id);
        Picture {
            cis,
            relations,
            problems: Vec::new(),
        }
    })
}

fn named(pictures: &[Picture]) -> Vec<(SmolStr, Picture)> {
    let named = pictures.iter().enumerate();
    named
        .map(|(index, picture)| (SmolStr::new(format!("import{index}")), picture.clone()))
        .collect()
}

/// Applies what changes to both the graph and what is known of it, as the store does.
fn activate(graph: &mut Graph, known: &mut Known, merged: &Merged) -> bool {
    let changed = reconcile(merged, known);
    graph.apply(&changed.difference);
    for (id, number) in &changed.numbered {
        known.numbers.insert(id.clone(), *number);
        known.last = known.last.max(number.get());
    }
    for number in &changed.difference.removed {
        known.present.remove(number);
    }
    for put in &changed.cis {
        known.present.insert(put.number, put.hash);
    }
    known
        .relations
        .retain(|(hash, it)| !changed.gone_relations.contains(&(it.from, *hash)));
    let new = changed.relations.iter();
    known.relations.extend(new.map(|it| (it.hash, it.relation)));
    changed.is_empty()
}

/// A graph by ids: numbers follow arrival and may differ.
fn by_ids(graph: &Graph) -> Vec<(String, Vec<String>)> {
    let name = |number| graph.ci(number).unwrap().id.to_string();
    let mut out: Vec<_> = graph
        .cis()
        .map(|ci| {
            let mut providers: Vec<_> = graph
                .providers(ci.number)
                .iter()
                .map(|edge| format!("{} {:?}", name(edge.ci), edge.kind))
                .collect();
            providers.sort();
            let words = format!("{} {} {:?} {:?}", ci.id, ci.class, ci.site, ci.identifiers);
            (words, providers)
        })
        .collect();
    out.sort();
    out
}

proptest! {
    #[test]
    fn an_import_that_says_nothing_new_changes_nothing(pictures in prop::collection::vec(picture(), 1..4)) {
        let merged = merge(named(&pictures), &Precedence::default());
        let (mut graph, mut known) = (Graph::default(), Known::default());
        activate(&mut graph, &mut known, &merged);
        let version = by_ids(&graph);
        prop_assert!(activate(&mut graph, &mut known, &merged));
        prop_assert_eq!(by_ids(&graph), version);
    }

    #[test]
    fn imports_give_the_same_graph_in_any_order(
        pictures in prop::collection::vec(picture(), 1..4),
        shift in 0..4_usize,
    ) {
        let all = named(&pictures);
        let mut graphs = Vec::new();
        for start in [0, shift % all.len()] {
            let (mut graph, mut known) = (Graph::default(), Known::default());
            for count in 1..=all.len() {
                let so_far: Vec<_> = (0..count).map(|step| all[(start + step) % all.len()].clone()).collect();
                activate(&mut graph, &mut known, &merge(so_far, &Precedence::default()));
            }
            graphs.push(by_ids(&graph));
        }
        prop_assert_eq!(&graphs[0], &graphs[1]);
    }

    #[test]
    fn differences_add_up_to_what_a_first_import_would_make(
        steps in prop::collection::vec(picture(), 1..5),
    ) {
        let (mut graph, mut known) = (Graph::default(), Known::default());
        for picture in &steps {
            let merged = merge(vec![(SmolStr::default(), picture.clone())], &Precedence::default());
            activate(&mut graph, &mut known, &merged);
            let mut fresh = Graph::default();
            fresh.apply(&first_difference(picture));
            prop_assert_eq!(by_ids(&graph), by_ids(&fresh));
        }
    }
}

#[test]
fn precedence_decides_and_conflicts_are_listed() {
    let record = |id: &str, class: &str, owner: &str| CiRecord {
        id: id.into(),
        class: class.into(),
        owner: Some(owner.into()),
        identifiers: vec![Identifier {
            kind: IdentifierKind::Mac,
            text: if id == "a1" {
                "AA:BB:CC:00:11:22"
            } else {
                "aabb.cc00.1122"
            }
            .into(),
        }],
        ..CiRecord::default()
    };
    let picture = |ci: CiRecord| Picture {
        cis: vec![ci],
        ..Picture::default()
    };
    let imports = vec![
        ("netbox".into(), picture(record("a1", "switch", "net"))),
        ("snow".into(), picture(record("sys9", "", "itil"))),
    ];
    let precedence = Precedence {
        imports: vec!["netbox".into()],
        attributes: [("owner".into(), vec!["snow".into()])].into(),
    };
    let merged = merge(imports, &precedence);
    assert_eq!(merged.cis.len(), 1, "the hardware address is the same");
    let ci = &merged.cis[0];
    assert_eq!(
        (ci.record.id.as_str(), ci.record.class.as_str()),
        ("a1", "switch")
    );
    assert_eq!(
        ci.record.owner.as_deref(),
        Some("itil"),
        "asked for this field"
    );
    assert_eq!(merged.conflict_count, 1);
    assert_eq!(merged.conflicts[0].other, "net");
    assert!(ci.record.identifiers.iter().any(|it| it.text == "sys9"));
}

#[test]
fn more_than_a_fifth_of_deletes_is_held() {
    let picture = |count: usize| Picture {
        cis: (0..count)
            .map(|id| CiRecord {
                id: format!("{id}").into(),
                ..CiRecord::default()
            })
            .collect(),
        ..Picture::default()
    };
    let before = picture(10);
    let share = |count| delete_share(before.cis.iter().map(|ci| ci.id.as_str()), &picture(count));
    assert_eq!(share(8), (2, 10));
    assert!(!is_held(share(8)) && is_held(share(7)));
}
