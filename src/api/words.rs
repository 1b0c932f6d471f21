//! The closed lists of words, for the document only; the words themselves come from the core. Must agree with it.

use utoipa::ToSchema;

/// Whether an alert's last episode is open.
#[derive(Clone, Copy, Debug, ToSchema)]
#[schema(as = AlertStatus, rename_all = "snake_case")]
pub enum Status {
    /// It is.
    Firing,
    /// It is over.
    Resolved,
}

/// What ended an episode.
#[derive(Clone, Copy, Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum EndedBy {
    /// The source said so.
    Resolved,
    /// The source did not repeat it in time.
    Expired,
    /// The source's own list no longer held it.
    Reconciled,
    /// A person resolved the incident.
    Person,
}

/// How bad a source says it is.
#[derive(Clone, Copy, Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Severity {
    /// Service is lost or about to be.
    Critical,
    /// A serious failure.
    High,
    /// Something that needs a look.
    Warning,
    /// Minor.
    Low,
    /// For the record.
    Info,
}

/// How soon people must act.
#[derive(Clone, Copy, Debug, ToSchema)]
pub enum Priority {
    /// Now, whatever the hour.
    P1,
    /// Within minutes.
    P2,
    /// Today.
    P3,
    /// Plan it.
    P4,
    /// For the record.
    P5,
}

/// Where an incident stands.
#[derive(Clone, Copy, Debug, ToSchema)]
#[schema(as = IncidentState, rename_all = "snake_case")]
pub enum State {
    /// Nobody has taken notice yet.
    New,
    /// Somebody has.
    Acknowledged,
    /// Somebody works on it.
    InProgress,
    /// Work waits for something outside.
    OnHold,
    /// The disruption is over.
    Resolved,
    /// Done.
    Closed,
}

/// What a token is good for.
#[derive(Clone, Copy, Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum TokenRole {
    /// Reads everything but tokens.
    Viewer,
    /// Works on incidents.
    Responder,
    /// Everything.
    Admin,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core;

    /// The words that the document gives for a schema.
    fn documented<T: utoipa::PartialSchema>() -> Vec<String> {
        let schema = serde_json::to_value(T::schema()).unwrap();
        let words = schema["enum"].as_array().unwrap().iter();
        words
            .map(|word| word.as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn document_lists_the_words_of_the_core() {
        assert_eq!(documented::<Status>(), ["firing", "resolved"]);
        assert_eq!(
            documented::<EndedBy>(),
            core::alert::EndedBy::ALL.map(|one| one.word())
        );
        assert_eq!(
            documented::<Severity>(),
            core::severity::Severity::ALL.map(|one| one.word())
        );
        assert_eq!(
            documented::<Priority>(),
            core::severity::Priority::ALL.map(|one| one.word())
        );
        assert_eq!(
            documented::<TokenRole>(),
            crate::api_token::Role::ALL.map(|one| one.as_str())
        );
        assert_eq!(
            documented::<State>(),
            core::incident::StateWord::ALL.map(|one| one.word())
        );
    }
}
