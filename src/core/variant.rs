//! Variants: one lasting trouble under ever new names, as when a pod is replaced again and again.
//!
//! Two alerts are variants of one trouble when source and labels are the same but for names that are given anew each time
//! (the pod, with the workload that owns it kept; the instance and address that go with it), and one follows the other.
//! Those that fire at the same time stay apart, as do those of other workloads or CIs. An alert that lacks a label of its
//! workload matches the one that has it, as long as there is only one. Must not make a bucket of everything: an alert
//! without a pod or a workload has no variants.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::Xxh3;

use crate::core::alert::Alert;
use crate::core::cmdb::normal;
use crate::core::decision::Change;
use crate::core::draft::Draft;
use crate::core::ids::{AlertId, IncidentId};
use crate::core::observation::AlertText;
use crate::core::reason::Reason;

/// Labels whose value is a name given anew, of which the owner is kept.
const PODS: [&str; 2] = ["pod", "pod_name"];
/// Labels that change together with those.
const WITH_PODS: [&str; 10] = [
    "container_id",
    "host_ip",
    "id",
    "instance",
    "ip",
    "node",
    "pod_ip",
    "pod_template_hash",
    "replicaset",
    "uid",
];
/// Labels of the workload, which some alerts of a rule lack.
const WORKLOADS: [&str; 5] = [
    "daemonset",
    "deployment",
    "statefulset",
    "workload",
    "workload_name",
];

/// The last alert of one trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Hash of source and the labels that stay.
    pub signature: u64,
    /// The alert that came last.
    pub alert: AlertId,
    /// Hash of the labels of its workload; 0 when it has none.
    pub workload: u64,
    /// How many alerts followed each other in one incident.
    pub count: u32,
    /// Whether several workloads have this signature, so that one that is missing cannot be filled in.
    pub is_mixed: bool,
}

/// One change of what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariantChange {
    /// Another alert came.
    Put(Variant),
    /// The last alert is no longer held.
    Gone(AlertId),
}

/// The last alert of each trouble.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variants {
    by_signature: BTreeMap<u64, Variant>,
    of_alert: BTreeMap<AlertId, u64>,
}

impl Variants {
    /// What is known of an alert that came last.
    pub fn of(&self, alert: AlertId) -> Option<&Variant> {
        self.by_signature.get(self.of_alert.get(&alert)?)
    }

    /// Makes a change true; also used to load.
    pub(in crate::core) fn apply(&mut self, change: &VariantChange) {
        match change {
            VariantChange::Put(variant) => {
                let before = self.by_signature.insert(variant.signature, *variant);
                if let Some(before) = before {
                    self.of_alert.remove(&before.alert);
                }
                if let Some(other) = self.of_alert.insert(variant.alert, variant.signature)
                    && other != variant.signature
                {
                    self.by_signature.remove(&other);
                }
            }
            VariantChange::Gone(alert) => {
                if let Some(signature) = self.of_alert.remove(alert) {
                    self.by_signature.remove(&signature);
                }
            }
        }
    }
}

/// The incident of the trouble that an alert goes on with under another name; notes the alert as the last one.
pub(in crate::core) fn heir(
    draft: &mut Draft<'_>,
    alert: &Alert,
    text: &AlertText,
) -> Option<IncidentId> {
    let state = draft.world.state;
    let (signature, workload, has_names) = signature(alert, text);
    let known = state.variants().by_signature.get(&signature).copied();
    if !has_names && known.is_none() {
        return None;
    }
    let incident = known.and_then(|known| goes_on(draft, &known, alert, workload));
    let is_mixed = |known: &Variant| {
        let differ = known.workload != workload && known.workload != 0 && workload != 0;
        known.is_mixed || differ
    };
    let before = known.filter(|_| incident.is_some());
    let variant = Variant {
        signature,
        alert: alert.id,
        workload: match known {
            Some(known) if workload == 0 => known.workload,
            Some(_) | None => workload,
        },
        count: before.map_or(1, |known| known.count.saturating_add(1)),
        is_mixed: known.as_ref().is_some_and(is_mixed),
    };
    let is_same = known.is_some_and(|known| known.alert == alert.id);
    if !is_same {
        draft
            .decision
            .change(Change::Variant(VariantChange::Put(variant)));
    }
    if let Some(incident) = incident {
        let name = known.map(|known| format!("goes on with {}", known.alert));
        draft
            .say(Some(incident), Some(alert.id), Reason::VariantFollowed)
            .note = name.map(Into::into);
    }
    incident
}

/// The incident of the last alert, if this one goes on with it.
fn goes_on(draft: &Draft<'_>, known: &Variant, alert: &Alert, workload: u64) -> Option<IncidentId> {
    if known.alert == alert.id {
        return None;
    }
    let last = draft.world.state.alert(known.alert)?;
    let incident = draft.survivor(last.incident?);
    let is_other_ci = last.ci.is_some() && alert.ci.is_some() && last.ci != alert.ci;
    if is_other_ci || !draft.may_return_to(incident) {
        return None;
    }
    let window = draft.world.rules.incident.reopen_window;
    let follows = !last.is_firing() && last.lease_at.plus(window) > draft.now;
    let is_same = known.workload == workload;
    let is_lacking = known.workload == 0 || workload == 0;
    let is_one = (is_same && follows) || (!is_same && is_lacking && !known.is_mixed);
    is_one.then_some(incident)
}

/// Gives an incident whose alerts followed each other time for the next one to come.
pub(in crate::core) fn look(draft: &mut Draft<'_>) {
    let (state, now) = (draft.world.state, draft.now);
    let at = now.plus(draft.world.rules.incident.reopen_window);
    let mut ended = Vec::new();
    for change in &draft.decision.changes {
        if let Change::AlertChanged(alert) = change
            && !alert.is_firing()
            && state.alert(alert.id).is_some_and(Alert::is_firing)
            && state.variants().of(alert.id).is_some_and(|it| it.count > 1)
        {
            ended.extend(alert.incident);
        }
    }
    for id in ended {
        let incident = draft.peek(id);
        let is_sooner = incident.is_some_and(|it| it.recovers_at.is_some_and(|due| due < at));
        if is_sooner && let Some(incident) = draft.touch(id) {
            incident.recovers_at = Some(at);
        }
    }
}

/// The hash of what stays, the hash of the workload, and whether the alert has a name that is given anew or a workload.
fn signature(alert: &Alert, text: &AlertText) -> (u64, u64, bool) {
    let is_pod = |name: &str| PODS.contains(&name);
    let owner = |value: &str| normal::pod_owner(value).map(str::to_owned);
    let pods = text.labels.iter().filter(|(name, _)| is_pod(name));
    let has_pod = pods.filter_map(|(_, value)| owner(value)).next().is_some();
    let (mut stays, mut workload) = (Xxh3::new(), Xxh3::new());
    let mut has_workload = false;
    stays.update(&alert.source.0.to_be_bytes());
    for (name, value) in &text.labels {
        let name = name.as_str();
        let add = |hash: &mut Xxh3, value: &str| {
            hash.update(name.as_bytes());
            hash.update(&[0]);
            hash.update(value.as_bytes());
            hash.update(&[1]);
        };
        if WORKLOADS.contains(&name) {
            has_workload = true;
            add(&mut workload, value);
        } else if has_pod && is_pod(name) {
            add(&mut stays, &owner(value).unwrap_or_default());
        } else if !(has_pod && WITH_PODS.contains(&name)) {
            add(&mut stays, value);
        }
    }
    let workload = if has_workload {
        workload.digest().max(1)
    } else {
        0
    };
    (stays.digest(), workload, has_pod || has_workload)
}
