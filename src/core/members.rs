//! The alerts of an incident, in order of joining.
//!
//! Nearly every incident has exactly one, which needs no memory of its own then. Must not know what an alert is.

use std::slice::from_ref;

use crate::core::ids::AlertId;

/// A list of alerts that is cheap while it is short.
#[derive(Clone, Debug)]
pub(super) enum Members {
    One(AlertId),
    Many(Vec<AlertId>),
}

impl Members {
    pub(super) const NONE: Self = Self::Many(Vec::new());

    pub(super) fn as_slice(&self) -> &[AlertId] {
        match self {
            Self::One(alert) => from_ref(alert),
            Self::Many(alerts) => alerts,
        }
    }

    /// Adds an alert unless it is listed already.
    pub(super) fn add(&mut self, alert: AlertId) {
        if self.as_slice().contains(&alert) {
            return;
        }
        match self {
            Self::Many(alerts) if alerts.is_empty() => *self = Self::One(alert),
            Self::Many(alerts) => alerts.push(alert),
            Self::One(first) => *self = Self::Many(vec![*first, alert]),
        }
    }

    /// Takes an alert off the list.
    pub(super) fn remove(&mut self, alert: AlertId) {
        match self {
            Self::Many(alerts) => alerts.retain(|&other| other != alert),
            Self::One(first) if *first == alert => *self = Self::NONE,
            Self::One(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_grows_in_order_and_holds_each_once() {
        let mut members = Members::NONE;
        let ids = [3, 1, 3, 2, 1].map(|number| AlertId::new(number).unwrap());
        for id in ids {
            members.add(id);
        }
        assert_eq!(members.as_slice(), [ids[0], ids[1], ids[3]]);
        assert_eq!(size_of::<Members>(), 24);
    }
}
