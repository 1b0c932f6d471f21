//! Named causes against true ones, and named services against those that suffered.
//!
//! The incident of an outage is the one that holds most of it. Must not look at anything but the final answer.

use serde::Serialize;

use crate::lab::score::{float, harmonic, share};

/// What was named for one outage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// CIs, best first.
    pub roots: Vec<usize>,
    /// Business services.
    pub services: Vec<usize>,
}

/// What is true of one outage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrueRoot {
    /// The CI that broke.
    pub root: usize,
    /// Others that are as good an answer.
    pub acceptable: Vec<usize>,
    /// Whether a root had an alert.
    pub is_observable: bool,
    /// Whether the root can be told at all.
    pub is_solvable: bool,
    /// The business services that suffered.
    pub services: Vec<usize>,
}

/// How often the root was named; shares of outages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Roots {
    /// Right in the first place.
    pub top1: f64,
    /// Right in the first place, by the strict root only.
    pub top1_strict: f64,
    /// Right in the first three.
    pub top3: f64,
    /// Mean of one over the place.
    pub mrr: f64,
    /// Right in the first place, of outages whose root alerted; `None` without one.
    pub top1_observable: Option<f64>,
    /// Right in the first three, of outages whose root alerted.
    pub top3_observable: Option<f64>,
    /// Right in the first place, of outages that can be told.
    pub top1_solvable: Option<f64>,
    /// Share of outages that can be told; no method can name more roots for good reasons.
    pub solvable: f64,
    /// F1 of the business services named, over all outages together.
    pub services_f1: Option<f64>,
}

/// Judges what was named for each outage.
pub fn judge(outages: &[(Named, TrueRoot)]) -> Roots {
    let place = |(named, truth): &(Named, TrueRoot)| {
        let is_right = |ci: &usize| *ci == truth.root || truth.acceptable.contains(ci);
        named.roots.iter().position(is_right)
    };
    let within = |of: &[&(Named, TrueRoot)], first: usize| {
        let right = of
            .iter()
            .filter(|it| place(it).is_some_and(|place| place < first));
        (!of.is_empty()).then(|| share(float(right.count()), float(of.len())))
    };
    let all: Vec<_> = outages.iter().collect();
    let observable: Vec<_> = outages.iter().filter(|it| it.1.is_observable).collect();
    let solvable: Vec<_> = outages.iter().filter(|it| it.1.is_solvable).collect();
    let strict = outages
        .iter()
        .filter(|(named, truth)| named.roots.first() == Some(&truth.root));
    let reciprocal = outages
        .iter()
        .filter_map(place)
        .map(|place| 1.0 / (float(place) + 1.0));
    Roots {
        top1: within(&all, 1).unwrap_or_default(),
        top1_strict: share(float(strict.count()), float(all.len())),
        top3: within(&all, 3).unwrap_or_default(),
        mrr: share(reciprocal.sum(), float(all.len())),
        top1_observable: within(&observable, 1),
        top3_observable: within(&observable, 3),
        top1_solvable: within(&solvable, 1),
        solvable: share(float(solvable.len()), float(all.len())),
        services_f1: services(outages),
    }
}

fn services(outages: &[(Named, TrueRoot)]) -> Option<f64> {
    let (mut named_all, mut true_all, mut both) = (0, 0, 0);
    for (named, truth) in outages {
        named_all += named.services.len();
        true_all += truth.services.len();
        both += named
            .services
            .iter()
            .filter(|service| truth.services.contains(service))
            .count();
    }
    let precision = share(float(both), float(named_all));
    let recall = share(float(both), float(true_all));
    (true_all > 0).then(|| harmonic(precision, recall))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outage(
        roots: &[usize],
        root: usize,
        acceptable: &[usize],
        flags: (bool, bool),
    ) -> (Named, TrueRoot) {
        let named = Named {
            roots: roots.to_vec(),
            services: vec![7, 8],
        };
        let truth = TrueRoot {
            root,
            acceptable: acceptable.to_vec(),
            is_observable: flags.0,
            is_solvable: flags.1,
            services: vec![8, 9, 10],
        };
        (named, truth)
    }

    #[test]
    fn places_are_counted_as_defined() {
        let got = judge(&[
            outage(&[1, 2], 1, &[], (true, true)),
            outage(&[3, 5, 4], 4, &[], (true, true)),
            outage(&[6], 5, &[6], (false, true)),
            outage(&[], 9, &[], (false, false)),
        ]);
        assert_eq!((got.top1, got.top1_strict, got.top3), (0.5, 0.25, 0.75));
        assert!((got.mrr - (1.0 + 1.0 / 3.0 + 1.0) / 4.0).abs() < 1e-9);
        assert_eq!(
            (got.top1_observable, got.top3_observable),
            (Some(0.5), Some(1.0))
        );
        assert_eq!((got.top1_solvable, got.solvable), (Some(2.0 / 3.0), 0.75));
        // 4 of 8 named are right, 4 of 12 are found.
        assert!((got.services_f1.unwrap() - 0.4).abs() < 1e-9);
        assert_eq!(judge(&[]).top1_observable, None);
    }
}
