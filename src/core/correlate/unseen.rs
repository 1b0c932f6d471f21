//! Episodes that passed unseen: the source told of the end first, or of nothing else.
//!
//! Such an alert opens nothing and tells nobody. If something that goes on explains it, it is kept there as one more
//! witness, so that the record of an outage is whole. Must not make anything fire.

use crate::core::alert::Alert;
use crate::core::correlate::node::{FLAP_WINDOW, NodeId};
use crate::core::draft::Draft;
use crate::core::observation::AlertText;

impl Draft<'_> {
    /// Brings an alert whose last episode was over before it was heard of to the incident that explains it, if one
    /// does.
    pub(crate) fn place_unseen(&mut self, alert: &mut Alert, text: Option<&AlertText>) {
        if !self.correlates() || alert.ci.is_none() {
            return;
        }
        let before = self.world.state.alert(alert.id);
        let is_one_with_last = before.is_some_and(|before| {
            let is_near = self.now.since(before.last_seen_at) <= FLAP_WINDOW;
            is_near && before.incident.is_some_and(|id| self.is_open(id))
        });
        let id = NodeId::of_alert(alert.id);
        if is_one_with_last {
            return;
        }
        if let Some(held) = self.grove.node_of(alert.id) {
            self.leave_node(alert, held);
        }
        if self.grove.node(id).is_some() {
            return;
        }
        // A number that nobody gets: either it joins, or nothing is kept.
        let nowhere = self.ids.clone().incident();
        let mut node = self.fresh_node(alert, text, nowhere);
        node.firing = 0;
        node.ended_at = Some(self.now);
        node.due_at = Some(self.now.plus(FLAP_WINDOW));
        self.grove.put(node);
        match self.best(id, None) {
            Some(best) => self.hang(id, best.parent, best.judgement, best.support),
            None => self.grove.forget(id),
        }
        let into = self.grove.node(id).filter(|node| node.link.is_some());
        match into.map(|node| node.incident) {
            Some(incident) if Some(incident) != alert.incident => self.join(alert, incident),
            Some(_) => {}
            None => self.grove.forget(id),
        }
    }
}
