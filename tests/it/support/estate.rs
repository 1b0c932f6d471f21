//! Small estates for timelines: `Estate::new().ci("sw1", "switch").on("esx1", "sw1")`. Must not know any import format.

use std::collections::BTreeMap;
use std::sync::Arc;

use watchbell::core::cmdb::ci::{Ci, CiNumber};
use watchbell::core::cmdb::graph::Difference;
use watchbell::core::cmdb::relation::{Relation, RelationKind, Role};

/// CIs and relations in the making.
#[derive(Clone, Debug, Default)]
pub(crate) struct Estate {
    numbers: BTreeMap<String, CiNumber>,
    pub(crate) difference: Difference,
}

impl Estate {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a CI.
    pub(crate) fn ci(mut self, id: &str, class: &str) -> Self {
        let number = u32::try_from(self.numbers.len() + 1).unwrap();
        let number = CiNumber::new(number).unwrap();
        self.numbers.insert(id.to_owned(), number);
        let ci = Ci {
            number,
            id: id.into(),
            name: id.into(),
            class: class.into(),
            site: Some("here".into()),
            rack: None,
            environment: None,
            criticality: None,
            owner: None,
            is_retired: false,
            identifiers: Vec::new(),
        };
        self.difference.put.push(ci.into());
        self
    }

    /// The CI added last.
    pub(crate) fn last(&mut self) -> &mut Ci {
        Arc::make_mut(self.difference.put.last_mut().unwrap())
    }

    /// Sets the criticality of the CI added last.
    pub(crate) fn criticality(mut self, criticality: u8) -> Self {
        self.last().criticality = Some(criticality);
        self
    }

    /// Sets the rack of the CI added last.
    pub(crate) fn rack(mut self, rack: &str) -> Self {
        self.last().rack = Some(rack.into());
        self
    }

    /// Puts the relation added last into a group of which one is enough.
    pub(crate) fn group(mut self, group: u32) -> Self {
        self.difference.linked.last_mut().unwrap().group = Some(group);
        self
    }

    /// `from` depends on `to`.
    pub(crate) fn relate(mut self, from: &str, to: &str, kind: RelationKind, role: Role) -> Self {
        self.difference.linked.push(Relation {
            from: self.number(from),
            to: self.number(to),
            kind,
            role,
            group: None,
            min: None,
            confidence: Relation::SURE,
        });
        self
    }

    /// `from` runs on `to`.
    pub(crate) fn on(self, from: &str, to: &str) -> Self {
        self.relate(from, to, RelationKind::RunsOn, Role::Host)
    }

    pub(crate) fn number(&self, id: &str) -> CiNumber {
        self.numbers[id]
    }
}
