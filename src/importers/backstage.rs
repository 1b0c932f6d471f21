//! Backstage: catalog files (`catalog-info.yaml`) and answers of its catalog API.
//!
//! Components, systems, resources, APIs and domains become items; a system is what people use, so its class is
//! `service`. Users, groups, locations and templates are no items. Source: the descriptor format of Backstage's software
//! catalog. Must not resolve references to entities that it does not have; they may stand in another import.

use serde_json::Value;
use smol_str::{SmolStr, format_smolstr};

use crate::core::cmdb::ci::IdentifierKind;
use crate::core::cmdb::record::{CiRecord, Picture};
use crate::core::cmdb::relation::{RelationKind, Role};
use crate::importers::documents::{documents, head};
use crate::importers::draft::{Draft, identify, relation, relation_as};
use crate::importers::value::{
    Object, criticality, field, items, keep, keep_text, object, objects, text,
};
use crate::importers::{Format, ImportError, NamedBytes};

/// Kinds that are items.
const KINDS: [&str; 5] = ["component", "system", "resource", "api", "domain"];

/// The format.
pub struct Backstage;

impl Format for Backstage {
    fn name(&self) -> &'static str {
        "backstage"
    }

    fn recognises(&self, files: &[NamedBytes]) -> bool {
        files
            .iter()
            .all(|file| head(file).contains("backstage.io/v"))
    }

    fn read(&self, files: &[NamedBytes]) -> Result<Picture, ImportError> {
        let mut draft = Draft::default();
        for file in files {
            for document in documents(file)? {
                let place = format!("{}:{}", file.name, document.line);
                match document.value {
                    // The catalog API answers a query with items.
                    Ok(Value::Object(entity)) if entity.contains_key("items") => {
                        read_list(&mut draft, &place, items(&entity, "items"));
                    }
                    Ok(Value::Object(entity)) => read_entity(&mut draft, &place, &entity),
                    Ok(Value::Array(list)) => read_list(&mut draft, &place, &list),
                    Ok(_) => {
                        draft.problem(&place, "expected an entity with kind, metadata and spec");
                    }
                    Err(error) => draft.problem(&place, &error),
                }
            }
        }
        Ok(draft.finish())
    }
}

fn read_list(draft: &mut Draft, place: &str, list: &[Value]) {
    for (index, entity) in list.iter().enumerate() {
        let place = format!("{place}[{index}]");
        match entity.as_object() {
            Some(entity) => read_entity(draft, &place, entity),
            None => draft.problem(&place, "expected an entity"),
        }
    }
}

/// An entity's reference, complete and in lower case: `component:default/shop`.
struct Reference {
    kind: String,
    namespace: String,
    name: String,
}

impl Reference {
    /// Reads `[kind:][namespace/]name`; `None` when there is no kind at all.
    fn read(text: &str, kind: Option<&str>, namespace: &str) -> Option<Self> {
        let text = text.trim().to_lowercase();
        let (kind, rest) = match text.split_once(':') {
            Some((kind, rest)) => (kind.to_owned(), rest),
            None => (kind?.to_owned(), text.as_str()),
        };
        let (namespace, name) = rest.split_once('/').unwrap_or((namespace, rest));
        (!name.is_empty() && !kind.is_empty()).then(|| Self {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    fn id(&self) -> SmolStr {
        format_smolstr!("{}:{}/{}", self.kind, self.namespace, self.name)
    }
}

fn read_entity(draft: &mut Draft, place: &str, entity: &Object) {
    let empty = Object::new();
    let (metadata, spec) = (
        object(entity, "metadata").unwrap_or(&empty),
        object(entity, "spec").unwrap_or(&empty),
    );
    let (Some(kind), Some(name)) = (field(entity, "kind"), field(metadata, "name")) else {
        draft.problem(
            place,
            "the entity lacks kind or metadata.name; it is left out",
        );
        return;
    };
    let kind = kind.to_lowercase();
    if !KINDS.contains(&kind.as_str()) {
        return;
    }
    let namespace = field(metadata, "namespace")
        .unwrap_or_else(|| "default".into())
        .to_lowercase();
    let id = format_smolstr!("{kind}:{namespace}/{}", name.to_lowercase());
    let mut record = CiRecord {
        id: id.clone(),
        name,
        class: class(&kind, spec),
        owner: owner(entity, spec, &namespace),
        ..CiRecord::default()
    };
    identify(
        &mut record,
        IdentifierKind::Alias,
        &field(metadata, "title").unwrap_or_default(),
    );
    identify(
        &mut record,
        IdentifierKind::Alias,
        &field(metadata, "uid").unwrap_or_default(),
    );
    labels(&mut record, metadata);
    for key in ["description", "tags", "namespace"] {
        if let Some(value) = metadata.get(key) {
            keep(&mut record, key, value);
        }
    }
    for key in ["type", "lifecycle"] {
        keep_text(&mut record, key, &field(spec, key).unwrap_or_default());
    }
    keep_text(&mut record, "kind", &kind);
    if draft.ci(place, record) {
        let mut relating = Relating {
            draft,
            place,
            id: &id,
            namespace: &namespace,
        };
        relating.spec(spec);
        relating.answers(entity);
    }
}

/// Labels and annotations are kept; a few of them mean something.
fn labels(record: &mut CiRecord, metadata: &Object) {
    for (prefix, key) in [("label", "labels"), ("annotation", "annotations")] {
        for (name, value) in object(metadata, key).into_iter().flatten() {
            keep(record, &format!("{prefix} {name}"), value);
            let word = name.rsplit('/').next().unwrap_or_default();
            let value = text(value).unwrap_or_default();
            match word {
                "environment" | "env" => record.environment = Some(value),
                "criticality" | "tier" => record.criticality = criticality(&value),
                "kubernetes-id" | "service-name" => {
                    identify(record, IdentifierKind::Alias, &value);
                }
                _ => {}
            }
        }
    }
}

fn class(kind: &str, spec: &Object) -> SmolStr {
    match kind {
        "system" => "service".into(),
        "resource" => field(spec, "type").unwrap_or_else(|| "resource".into()),
        kind => kind.into(),
    }
}

fn owner(entity: &Object, spec: &Object, namespace: &str) -> Option<SmolStr> {
    let named = field(spec, "owner").or_else(|| {
        let owned = objects(entity, "relations")
            .find(|one| field(one, "type").is_some_and(|kind| kind == "ownedBy"))?;
        field(owned, "targetRef")
    })?;
    Some(
        Reference::read(&named, Some("group"), namespace)?
            .name
            .into(),
    )
}

struct Relating<'a> {
    draft: &'a mut Draft,
    place: &'a str,
    id: &'a str,
    namespace: &'a str,
}

impl Relating<'_> {
    fn spec(&mut self, spec: &Object) {
        for (key, kind) in [
            ("dependsOn", None),
            ("dependencyOf", None),
            ("consumesApis", Some("api")),
            ("providesApis", Some("api")),
            ("system", Some("system")),
            ("domain", Some("domain")),
            ("subdomainOf", Some("domain")),
            ("subcomponentOf", Some("component")),
        ] {
            let one = field(spec, key).map(|text| Value::String(text.into()));
            for named in items(spec, key).iter().chain(one.as_ref()) {
                let named = text(named).unwrap_or_default();
                match Reference::read(&named, kind, self.namespace) {
                    Some(target) => self.relate(key, &target),
                    None => {
                        let problem = format!(
                            "spec.{key}: {named:?} names no kind; write it like component:name"
                        );
                        self.draft.problem(self.place, &problem);
                    }
                }
            }
        }
    }

    /// Relations as the catalog API gives them; each also stands at the other end, in the other direction.
    fn answers(&mut self, entity: &Object) {
        for one in objects(entity, "relations") {
            let (Some(kind), Some(named)) = (field(one, "type"), field(one, "targetRef")) else {
                continue;
            };
            if let Some(target) = Reference::read(&named, None, self.namespace) {
                self.relate(&kind, &target);
            }
        }
    }

    fn relate(&mut self, key: &str, target: &Reference) {
        if !KINDS.contains(&target.kind.as_str()) {
            return;
        }
        let (own, other) = (self.id, target.id());
        let made = match key {
            "dependsOn" => relation(own, &other, RelationKind::DependsOn),
            "dependencyOf" => relation(&other, own, RelationKind::DependsOn),
            "consumesApis" | "consumesApi" => {
                relation_as(own, &other, RelationKind::Uses, Role::Call)
            }
            "apiConsumedBy" => relation_as(&other, own, RelationKind::Uses, Role::Call),
            // An API is as good as the component behind it.
            "providesApis" | "providesApi" => relation(&other, own, RelationKind::DependsOn),
            "apiProvidedBy" => relation(own, &other, RelationKind::DependsOn),
            "system" | "domain" | "subdomainOf" | "subcomponentOf" | "partOf" => {
                relation_as(&other, own, RelationKind::MemberOf, Role::Part)
            }
            "hasPart" => relation_as(own, &other, RelationKind::MemberOf, Role::Part),
            _ => return,
        };
        self.draft.relation(self.place, made);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_completed() {
        let cases = [
            ("Shop", Some("system"), "system:default/shop"),
            ("other/Shop", Some("system"), "system:other/shop"),
            ("Resource:db", None, "resource:default/db"),
            ("api:x/y", Some("component"), "api:x/y"),
        ];
        for (text, kind, wanted) in cases {
            assert_eq!(Reference::read(text, kind, "default").unwrap().id(), wanted);
        }
        assert!(Reference::read("shop", None, "default").is_none());
        assert!(Reference::read("api:", None, "default").is_none());
    }
}
