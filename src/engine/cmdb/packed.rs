//! What an import says, in the form in which it is kept: sorted, in packed parts, with a hash.
//!
//! Must not compare it with anything.

use bytes::Bytes;
use serde::Serialize;
use xxhash_rust::xxh3::Xxh3;

use crate::core::cmdb::record::{CiRecord, Picture, RelationRecord};
use crate::store::StoreError;
use crate::store::inbox::StoredBody;

/// Records of one packed part.
const PART_RECORDS: usize = 2_000;

/// What an import says, in the form in which it is kept.
pub(super) struct Packed {
    pub(super) parts: Vec<StoredBody>,
    pub(super) hash: u64,
}

/// Packs a picture in parts; the order of its records does not count.
pub(super) fn pack(mut picture: Picture) -> (Picture, Packed) {
    picture.cis.sort_by(|left, right| left.id.cmp(&right.id));
    picture.relations.sort_unstable();
    let mut hash = Xxh3::new();
    let mut parts = Vec::new();
    let mut add = |cis: &[_], relations: &[_]| {
        let part = PartOf { cis, relations };
        let json = serde_json::to_vec(&part).unwrap_or_default();
        hash.update(&json);
        parts.push(StoredBody::new(Bytes::from(json)));
    };
    for cis in picture.cis.chunks(PART_RECORDS) {
        add(cis, &[]);
    }
    for relations in picture.relations.chunks(PART_RECORDS) {
        add(&[], relations);
    }
    let hash = hash.digest();
    (picture, Packed { parts, hash })
}

/// A part of a picture, borrowed.
#[derive(Serialize)]
struct PartOf<'a> {
    cis: &'a [CiRecord],
    relations: &'a [RelationRecord],
}

pub(super) fn unpack(packed: &Packed) -> Result<Picture, StoreError> {
    let mut whole = Picture::default();
    for part in &packed.parts {
        let part: Result<Picture, _> = serde_json::from_slice(&part.open()?);
        let part = part.map_err(|error| StoreError::Other(error.to_string().into()))?;
        whole.cis.extend(part.cis);
        whole.relations.extend(part.relations);
    }
    Ok(whole)
}
