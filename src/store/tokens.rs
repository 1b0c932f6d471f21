//! API tokens: who they are for and a keyed hash, never the token itself.
//!
//! Must not see a token or the key of the hash; both stay with the caller.

use crate::core::audit::AuditEntry;
use crate::core::time::Timestamp;

use super::rows::row;
use super::{Conn, OwnedConn, StoreError, audit, dialect, on};

row! {
    /// A token's record.
    pub struct TokenRow {
        /// Its public id, by which it is listed and revoked.
        id: String,
        /// Whom it is for.
        name: String,
        /// `viewer`, `responder` or `admin`.
        role: String,
        /// The keyed hash of the token, as lower-case hex.
        hash: String,
        /// When it was made, in UTC milliseconds.
        created_at: i64,
        /// When it ends by itself.
        expires_at: Option<i64>,
        /// When it was revoked.
        revoked_at: Option<i64>,
    }
}

/// Stores a new token and who made it.
///
/// # Errors
/// The database cannot be written.
pub async fn create(conn: &mut OwnedConn, token: &TokenRow, actor: &str) -> Result<(), StoreError> {
    let mut entry = entry(actor, "token.create", &token.id);
    entry.after = vec![
        ("name".into(), token.name.as_str().into()),
        ("role".into(), token.role.as_str().into()),
    ];
    let at = Timestamp::from_millis(token.created_at);
    let mut tx = dialect::begin(conn).await?;
    insert(tx.lend(), token).await?;
    audit::append(&mut tx, 0, &[(None, at, &entry)]).await?;
    dialect::commit(tx).await
}

/// Revokes a token by its id and notes who did; returns whether there was one that was not revoked yet.
///
/// # Errors
/// The database cannot be written.
pub async fn withdraw(
    conn: &mut OwnedConn,
    id: &str,
    now: Timestamp,
    actor: &str,
) -> Result<bool, StoreError> {
    let mut entry = entry(actor, "token.revoke", id);
    entry.before = vec![("state".into(), "valid".into())];
    entry.after = vec![("state".into(), "revoked".into())];
    let mut tx = dialect::begin(conn).await?;
    let was_valid = revoke(tx.lend(), id, now).await?;
    if was_valid {
        audit::append(&mut tx, 0, &[(None, now, &entry)]).await?;
    }
    dialect::commit(tx).await?;
    Ok(was_valid)
}

fn entry(actor: &str, action: &'static str, id: &str) -> AuditEntry {
    AuditEntry {
        actor: actor.into(),
        action: action.into(),
        subject: id.into(),
        ..AuditEntry::default()
    }
}

/// Stores a new token.
///
/// # Errors
/// The database cannot be written.
pub async fn insert(conn: Conn<'_>, token: &TokenRow) -> Result<(), StoreError> {
    on!(conn, c => sqlx::query(
        "INSERT INTO token (id, name, role, hash, created_at, expires_at, revoked_at) VALUES ($1, $2, $3, $4, $5, $6, $7)"
    )
    .bind(&token.id)
    .bind(&token.name)
    .bind(&token.role)
    .bind(&token.hash)
    .bind(token.created_at)
    .bind(token.expires_at)
    .bind(token.revoked_at)
    .execute(c)
    .await
    .map(drop))?;
    Ok(())
}

/// Every token, oldest first.
///
/// # Errors
/// The database cannot be read.
pub async fn list(conn: Conn<'_>) -> Result<Vec<TokenRow>, StoreError> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT id, name, role, hash, created_at, expires_at, revoked_at FROM token ORDER BY created_at, id"
    ).fetch_all(c).await?))
}

/// The token with that hash, revoked or not.
///
/// # Errors
/// The database cannot be read.
pub async fn find_by_hash(conn: Conn<'_>, hash: &str) -> Result<Option<TokenRow>, StoreError> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT id, name, role, hash, created_at, expires_at, revoked_at FROM token WHERE hash = $1"
    ).bind(hash).fetch_optional(c).await?))
}

/// Revokes a token by its id; returns whether there was one that was not revoked yet.
///
/// # Errors
/// The database cannot be written.
pub async fn revoke(conn: Conn<'_>, id: &str, now: Timestamp) -> Result<bool, StoreError> {
    let rows = on!(conn, c => sqlx::query("UPDATE token SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
        .bind(id).bind(now.as_millis()).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(rows > 0)
}
