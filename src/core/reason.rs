//! The closed list of reasons: why anything was done, or refused.
//!
//! Every decision names one. It is stored in the timeline, shown to people with its sentence, and counted as a
//! metric label by its code. Must not be extended without a test that meets the new reason.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $sentence:literal;)+) => {
        /// Why something was decided.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $(#[doc = $sentence] $name,)+
        }

        impl Reason {
            /// Every reason, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The stable word used in JSON, metrics and the store.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// One sentence for people.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)+ }
            }
        }
    };
}

reasons! {
    // What an observation came to.
    AlertOpened = "alert_opened", "The alert fired for the first time.";
    NewEpisode = "new_episode", "The alert fired again: its start lies after the end of the last episode.";
    NewEpisodeWithoutResolve = "new_episode_without_resolve", "The alert fires with a later start although no resolve was received; the episode was replaced, the incident kept.";
    EpisodeReplaced = "episode_replaced", "The alert fires with a much later start although no resolve was received; the old episode counts as ended when it was heard of last.";
    RepeatOfOpenEpisode = "repeat_of_open_episode", "The source repeated an episode that is open already; it was counted and its expiry moved on.";
    TextChanged = "text_changed", "The source repeated an open episode with changed labels or texts; the new text was kept.";
    SeverityChanged = "severity_changed", "The source changed the severity of an open episode.";
    AlertResolved = "alert_resolved", "The source said that the alert has ended.";
    RepeatOfResolve = "repeat_of_resolve", "The source repeated the end of an episode that is over already; it was counted.";
    OrphanResolve = "orphan_resolve", "The source ended an episode that was never seen firing; it was recorded and opened nothing.";
    ResolveOfOlderEpisode = "resolve_of_older_episode", "A late message ended an older episode than the open one; the open one stays.";
    LateFiringParked = "late_firing_parked", "A firing message arrived for an episode that was already resolved; it is parked until the source confirms it.";
    LateFiringStillParked = "late_firing_still_parked", "The parked firing was repeated inside the reorder window; it stays parked.";
    LateFiringDiscarded = "late_firing_discarded", "Nothing confirmed the parked firing in time; it was a late message and opened nothing.";
    LateFiringConfirmed = "late_firing_confirmed", "The source confirmed that the resolved episode is firing after all; it was reopened.";
    ExpiredEpisodeReturned = "expired_episode_returned", "The source returned and still fires the episode that had expired; it was reopened at once.";
    FiringAfterPersonResolved = "firing_after_person_resolved", "The source still fires the episode that a person resolved; it was counted and does not reopen inside the reopen window.";
    StillFiringAfterPersonResolved = "still_firing_after_person_resolved", "The source still fires the episode that a person resolved, and the reopen window is over; a linked incident was opened.";
    RetainedAfterEnd = "retained_after_end", "The broker sent a kept message again that fires an episode which is over; a kept message opens nothing that has ended.";
    // What time and polls came to.
    AlertExpired = "alert_expired", "The source did not repeat the alert before its expiry; it counts as ended.";
    AlertReconciled = "alert_reconciled", "The source's own list no longer holds the alert; it counts as ended.";
    MutedUpstream = "muted_upstream", "The source still fires the alert but mutes it on its side.";
    UnmutedUpstream = "unmuted_upstream", "The source no longer mutes the alert.";
    AlertForgotten = "alert_forgotten", "The alert ended long ago; its next firing counts as a first one.";
    EndedByPerson = "ended_by_person", "A person resolved the incident, which ended the alert.";
    DeadlinesChecked = "deadlines_checked", "Deadlines were reached and looked at.";
    Started = "started", "The daemon started; every firing alert gets a full expiry from here to be repeated.";
    SourceReconciled = "source_reconciled", "A poll of the source's own list was compared with what was known.";
    Folded = "folded", "The alert differs from many others only by a label that names an event; they are counted as one.";
    FoldingStarted = "folding_started", "Too many alerts differ only by a label that names an event; from now on they are counted as one.";
    Inhibited = "inhibited", "People know of another incident on whose root cause this one depends, so they are not told of it; it is recorded all the same.";
    Uninhibited = "uninhibited", "No other incident that people know of holds this one any more.";
    Silenced = "silenced", "A silence or a maintenance window keeps people from being told of the alert; it is recorded all the same.";
    Unsilenced = "unsilenced", "No silence or maintenance window applies to the alert any more; people are told of it again.";
    SilencesSwept = "silences_swept", "The alerts that fire already were compared with the silences.";
    // What heartbeats came to.
    HeartbeatPinged = "heartbeat_pinged", "The heartbeat was heard; its deadline moved on.";
    HeartbeatReturned = "heartbeat_returned", "The missing heartbeat was heard again; its alert has ended.";
    HeartbeatMissed = "heartbeat_missed", "The heartbeat was not heard in time; that is an alert.";
    HeartbeatBegun = "heartbeat_begun", "The heartbeat's job said that it begins; it has to say in time that it is done.";
    HeartbeatFailed = "heartbeat_failed", "The heartbeat's job said that it failed; that is an alert until it succeeds.";
    HeartbeatOverran = "heartbeat_overran", "The heartbeat's job began and did not end in time; that is an alert.";
    HeartbeatNoted = "heartbeat_noted", "The heartbeat's job sent something to be kept; it changes nothing.";
    HeartbeatRemoved = "heartbeat_removed", "The heartbeat is no longer configured; its alert has ended.";
    HeartbeatUnknown = "heartbeat_unknown", "No such heartbeat is configured; the ping came to nothing.";
    WatchdogEnded = "watchdog_ended", "The source ended the alert that feeds a heartbeat; that is no ping, the deadline stays.";
    ChangeRecorded = "change_recorded", "A change of a CI was recorded; it is evidence for what happens there soon after.";
    ChangeSuspected = "change_suspected", "A change to the same item, or to one that it depends on, was made shortly before; it may be the cause, which only a person confirms.";
    RequestOpened = "request_opened", "The catalogue says that the alert is work but no disruption; it is a request, and nobody is paged.";
    RequestEndedWithAlert = "request_ended_with_alert", "The alert of the request has ended; it is fulfilled.";
    RequestIsLate = "request_is_late", "The request was not done by its agreed time.";
    ProblemSuspected = "problem_suspected", "Incidents of this signature keep coming back; they are a candidate for a problem.";
    ProblemRecurred = "problem_recurred", "The incident is one of a known problem.";
    KnownErrorMatched = "known_error_matched", "Something is known about this incident.";
    StakeholdersUpdateDue = "stakeholders_update_due", "An update to stakeholders was due and nobody had written one; the state of things was told.";
    ActionIsLate = "action_is_late", "An action that follows from the incident was not done by its time.";
    MajorEnded = "major_ended", "The major incident is over; its review can be drafted.";
    CmdbImported = "cmdb_imported", "An import changed the CMDB.";
    AlertsRebound = "alerts_rebound", "Firing alerts were compared with the changed CMDB.";
    BindingChanged = "binding_changed", "The CMDB changed, and with it the CI that the alert is about.";
    // What happened to incidents.
    IncidentOpened = "incident_opened", "An incident was opened for an alert that belongs to no open incident.";
    LinkedIncidentOpened = "linked_incident_opened", "The alert returned after the reopen window; a new incident was opened and linked to the last one.";
    IncidentReopened = "incident_reopened", "The alert returned inside the reopen window; the incident was reopened under its own number.";
    RecoveryStarted = "recovery_started", "All alerts have ended; the incident resolves when they stay so for the recovery time.";
    RecoveryInterrupted = "recovery_interrupted", "An alert fired again during the recovery time; the incident stays open.";
    RecoverySustained = "recovery_sustained", "All alerts stayed ended for the recovery time; the incident was resolved.";
    ClosedAfterResolve = "closed_after_resolve", "The incident stayed resolved for the closing time; it was closed.";
    IncidentAnnounced = "incident_announced", "The incident has settled; from now on people are told.";
    VariantFollowed = "variant_followed", "The alert is the same trouble under another name: its pod was replaced, or it lacks a label of its workload; it belongs to the same incident.";
    FlappingStarted = "flapping_started", "The alert comes and goes; its incident has to stay calm for longer before it resolves.";
    FlappingEnded = "flapping_ended", "The alert has fired for a while without a change; it flaps no more.";
    AnnouncementHeld = "announcement_held", "The incident has settled, but everything that fires of it is suppressed; people are told when that ends and it still fires.";
    PeopleTold = "people_told", "Messages to people were written to the outbox.";
    MessageUndelivered = "message_undelivered", "A message to people could not be delivered and was given up.";
    EscalationStarted = "escalation_started", "Nobody has the incident yet; a ladder was begun.";
    Escalated = "escalated", "A step of the ladder was due; whom it names were told.";
    EscalationWaits = "escalation_waits", "A step of the ladder was due outside of its hours; it waits for them, or is passed over.";
    EscalationMissed = "escalation_missed", "A step of the ladder reached nobody, or ran late; that was told.";
    EscalationStopped = "escalation_stopped", "Somebody has taken the incident; the ladder was stopped.";
    EscalationRestarted = "escalation_restarted", "Nobody has the incident any more; the ladder was begun anew.";
    EscalationPaused = "escalation_paused", "The incident is on hold or held; the ladder stays on its step.";
    EscalationResumed = "escalation_resumed", "The incident is no longer on hold or held; the ladder goes on from its step.";
    EscalationExhausted = "escalation_exhausted", "All steps of the ladder were told and nobody answered.";
    AcknowledgeExpired = "acknowledge_expired", "The acknowledgement was given until now; the incident is new again.";
    HoldEnded = "hold_ended", "The hold was given until now; the incident is in progress again.";
    IncidentForgotten = "incident_forgotten", "The incident is closed for good.";
    PriorityChanged = "priority_changed", "The priority follows the severity of the alerts and the services reached.";
    SlaWarned = "sla_warned", "So much of the agreed time has gone by.";
    SlaBreached = "sla_breached", "The agreed time has gone by; the target is missed.";
    SlaTargetChanged = "sla_target_changed", "Another rule of service levels applies now; what was counted stays.";
    AlertCorrelated = "alert_correlated", "The alert belongs to an open incident that explains it.";
    AlertMoved = "alert_moved", "Another incident explains the alert better by now; it was moved there.";
    IncidentMerged = "incident_merged", "Another incident has the same cause; it took over all alerts, and this one was closed.";
    IncidentAbsorbed = "incident_absorbed", "The incident took over the alerts of another one that has the same cause.";
    RootChanged = "root_changed", "Another condition explains the incident better now; the root cause changed, the number stays.";
    StragglerLeft = "straggler_left", "The incident is over but for this alert, which now stands by itself.";
    // What people did.
    Acknowledged = "acknowledged", "A person took notice of the incident.";
    Assigned = "assigned", "The incident was given to a person or a team.";
    WorkStarted = "work_started", "Work on the incident was started.";
    PutOnHold = "put_on_hold", "The incident was put on hold.";
    Resumed = "resumed", "Work on the incident was resumed.";
    ResolvedByPerson = "resolved_by_person", "A person resolved the incident.";
    ClosedByPerson = "closed_by_person", "A person closed the incident.";
    ReopenedByPerson = "reopened_by_person", "A person reopened the incident.";
    LinkedByPerson = "linked_by_person", "A person reopened the incident after the reopen window; a new one was opened and linked.";
    NoteAdded = "note_added", "A person added a note.";
    SilenceMade = "silence_made", "A person made a silence.";
    SilenceChanged = "silence_changed", "A person changed the end or the comment of a silence.";
    SilenceExpired = "silence_expired", "A person ended a silence.";
    WindowMade = "window_made", "A maintenance window was made.";
    WindowChanged = "window_changed", "A maintenance window was changed.";
    WindowCancelled = "window_cancelled", "A maintenance window was cancelled; what still fires is told.";
    OverrideMade = "override_made", "A person made an override: somebody stands in on a schedule.";
    OverrideEnded = "override_ended", "A person ended an override of a schedule, or took it back.";
    MergedByPerson = "merged_by_person", "A person merged the incident into another one, which goes on.";
    SplitByPerson = "split_by_person", "A person took alerts out of the incident into a new one.";
    UnlinkedByPerson = "unlinked_by_person", "A person took alerts out of the incident, each into one of its own.";
    PinnedByPerson = "pinned_by_person", "A person pinned alerts to the incident; no rule moves them.";
    PrioritySetByPerson = "priority_set_by_person", "A person set the priority; no rule changes it.";
    PriorityHandedBack = "priority_handed_back", "A person handed the priority back to the rules.";
    RootNamedByPerson = "root_named_by_person", "A person named the root cause.";
    // What happened to tickets in other systems.
    TicketCreated = "ticket_created", "A ticket was made in the other system.";
    TicketFound = "ticket_found", "The ticket was there already and was found by its key; no second one was made.";
    TicketBrought = "ticket_brought", "The ticket was brought to what the incident is.";
    TicketRefused = "ticket_refused", "The other system refused; it is tried again when the incident changes or a person asks.";
    TicketDetached = "ticket_detached", "The ticket was deleted or merged there; it is no longer followed, and no other one is made by itself.";
    TicketLeftClosed = "ticket_left_closed", "The incident goes on, and its ticket stays closed as it was decided there.";
    TicketInStep = "ticket_in_step", "The ticket was read; nothing in it changes the incident.";
    TicketNoteAdded = "ticket_note_added", "A person added a note in the ticket.";
    ConnectorPaused = "connector_paused", "A person paused the connector; nothing is sent or read until it goes on.";
    ConnectorResumed = "connector_resumed", "A person let the connector go on.";
    ConnectorResynced = "connector_resynced", "A person had tickets read and compared anew.";
    ChangeJudged = "change_judged", "A person said whether a change caused the incident.";
    RequestChanged = "request_changed", "A person made or changed a request.";
    ProblemChanged = "problem_changed", "A person made or changed a problem.";
    KnownErrorChanged = "known_error_changed", "A person made or changed a known error.";
    ActionChanged = "action_changed", "A person made or changed an action.";
    MajorDeclared = "major_declared", "The incident is a major one.";
    MajorRolesGiven = "major_roles_given", "A person said who leads the major incident and who speaks for it.";
    StakeholdersUpdated = "stakeholders_updated", "A person wrote an update to stakeholders.";
    IncidentRated = "incident_rated", "Somebody who was served said how well the incident was handled.";
    ReviewWritten = "review_written", "A person wrote into the review of the incident.";
    BoundByPerson = "bound_by_person", "A person said which configuration item the alert is about; only a person undoes it.";
    UnboundByPerson = "unbound_by_person", "A person lets the rules decide again which configuration item the alert is about.";
    // Why something was refused.
    TicketUnknown = "ticket_unknown", "No incident has that ticket any more; the report came to nothing.";
    UnknownConnector = "unknown_connector", "There is no such connector.";
    UnknownIncident = "unknown_incident", "There is no such incident, or it was closed for good.";
    StaleVersion = "stale_version", "The incident has changed since the expected version; read it again.";
    IdempotencyKeyReused = "idempotency_key_reused", "This Idempotency-Key was used for another command; use a fresh one.";
    AlreadyAcknowledged = "already_acknowledged", "The incident is acknowledged or further on.";
    AlreadyInProgress = "already_in_progress", "The incident is in progress already.";
    AlreadyOnHold = "already_on_hold", "The incident is on hold already; resume it first.";
    NotOnHold = "not_on_hold", "Only an incident on hold can be resumed.";
    AlreadyResolved = "already_resolved", "The incident is resolved; reopen it first.";
    AlreadyClosed = "already_closed", "The incident is closed.";
    NotResolvedYet = "not_resolved_yet", "The incident is open; only a resolved or closed one can be reopened.";
    AlreadyContinued = "already_continued", "A later incident continues this one and is open; use that one.";
    UnknownSilence = "unknown_silence", "There is no such silence, or it is over.";
    SilenceEndsTooEarly = "silence_ends_too_early", "The end of a silence must lie after its begin and in the future.";
    SilenceMatchesAll = "silence_matches_all", "Every matcher of the silence also matches an absent label, so it would hide everything; name at least one label.";
    TooManySilences = "too_many_silences", "There are as many silences as can be held; expire some, or let one match more.";
    UnknownWindow = "unknown_window", "There is no such maintenance window, or it is over.";
    WindowIsPast = "window_is_past", "The maintenance window has no occurrence that lies in the future.";
    WindowIsConfigured = "window_is_configured", "The maintenance window is written in the configuration; change it there and reload.";
    TooManyWindows = "too_many_windows", "There are as many maintenance windows as can be held; cancel some, or let one recur.";
    UnknownSchedule = "unknown_schedule", "There is no such schedule.";
    UnknownOverride = "unknown_override", "There is no such override, or it is over.";
    OverrideEndsTooEarly = "override_ends_too_early", "The end of an override must lie after its begin and in the future.";
    TooManyOverrides = "too_many_overrides", "There are as many overrides as can be held; end some.";
    StaleCmdb = "stale_cmdb", "The CMDB has changed since the import was compared with it; it is compared again.";
    TimeNotInFuture = "time_not_in_future", "The given time is not in the future.";
    SameIncident = "same_incident", "An incident cannot be merged into itself.";
    MergeIntoClosed = "merge_into_closed", "The other incident is not open; reopen it first.";
    AlreadyMerged = "already_merged", "The incident was merged into another one; use that one.";
    NotAMember = "not_a_member", "At least one of the alerts does not belong to the incident, or none was named.";
    NothingLeft = "nothing_left", "No alert would be left in the incident.";
    UnknownAlert = "unknown_alert", "There is no such alert, or it ended too long ago.";
    UnknownRecord = "unknown_record", "There is no such record.";
    ChangeEndsTooEarly = "change_ends_too_early", "The end of a change must not lie before its begin.";
    AlreadyRated = "already_rated", "This person has rated the incident already; a rating stays as it is.";
    UnknownCi = "unknown_ci", "The CMDB holds no configuration item of that id.";
}

impl Reason {
    /// Finds a reason by its code, as stored.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| reason.code() == code)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_words_and_sentences_end() {
        for &reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.code()), Some(reason));
            assert!(
                reason
                    .code()
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            );
            assert!(
                reason.sentence().ends_with('.') && reason.sentence().len() > 20,
                "{reason}"
            );
        }
    }
}
