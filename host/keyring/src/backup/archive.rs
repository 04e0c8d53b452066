//! Reading an archive from its beginning to its end, and checking all of it on the way.

use std::io::{Read, Seek, SeekFrom};

use aws_lc_rs::digest::{Context, SHA256};

use super::document::Document;
use super::envelope::Identities;
use super::error::BackupError;
use super::frame::{self, Frame, Kind};
use super::gather;
use super::header::{End, Header};
use super::report::{Counts, Summary};
use super::scope::{self, Scope};
use crate::names::{KeyName, TenantName};
use crate::record::TENANTS;
use crate::store::check_path;

/// Reads the whole archive and hands each frame to `each`, for as long as that wants more. Gives
/// what the archive says of itself, or `None` when `each` had enough. Blocks.
pub(super) fn read<R: Read + Seek>(
    source: &mut R,
    identities: &Identities,
    mut each: impl FnMut(Frame) -> bool,
) -> Result<Option<Summary>, BackupError> {
    source.seek(SeekFrom::Start(0)).map_err(|error| BackupError::reading(&error))?;
    let mut source = identities.open(source)?;
    let (header, bytes) = Header::read(&mut source)?;
    let mut hash = Context::new(&SHA256);
    hash.update(&bytes);
    let mut counts = Counts::default();
    let mut frames = 0;
    let mut key = None;
    loop {
        let frame = frame::read(&mut source)?;
        if frame.kind == Kind::End {
            let end = finish(&header, frames, &hash, &frame)?;
            if !frame::is_at_end(&mut source)? {
                return Err(BackupError::Damaged("something follows its end"));
            }
            return Ok(Some(Summary::new(header, counts, &end)));
        }
        check(&header.scope, &frame, &mut key, &mut counts)?;
        // A frame has one encoding, so that this is what was read.
        hash.update(&frame::head(frame.kind, &frame.path, &frame.value).unwrap_or_default());
        hash.update(&frame.value);
        frames += 1;
        if !each(frame) {
            return Ok(None);
        }
    }
}

fn finish(header: &Header, frames: u64, hash: &Context, frame: &Frame) -> Result<End, BackupError> {
    let end = End::decode(&frame.value).filter(|_| frame.path.is_empty());
    let end = end.ok_or(BackupError::Damaged("its end cannot be read"))?;
    let digest = hash.clone().finish();
    if end.frames != frames || end.digest.as_slice() != digest.as_ref() {
        return Err(BackupError::Damaged("it does not have the digest it states"));
    }
    if !header.origin.verifies(&end.digest, &end.signature) {
        return Err(BackupError::Damaged("its signature is not that of the origin it states"));
    }
    Ok(end)
}

/// The key that parts belong to.
struct Of {
    path: String,
    tenant: String,
    document: Document,
}

/// Whether a backup of this scope can hold the frame in this place.
fn check(
    scope: &Scope,
    frame: &Frame,
    key: &mut Option<Of>,
    counts: &mut Counts,
) -> Result<(), BackupError> {
    const MISPLACED: BackupError = BackupError::Damaged("it holds a record that no backup holds");
    let Frame { kind, path, value } = frame;
    if check_path(path).is_err() || !scope.admits(path, value) {
        return Err(MISPLACED);
    }
    match kind {
        Kind::Record => {
            *key = None;
            if is_of_a_key(path) { Err(MISPLACED) } else { Ok(()) }
        }
        Kind::Key => {
            let (tenant, name) = scope::key_at(path).ok_or(MISPLACED)?;
            if tenant.parse::<TenantName>().is_err() || name.parse::<KeyName>().is_err() {
                return Err(MISPLACED);
            }
            let document = Document::parse(value).ok_or(MISPLACED)?;
            counts.keys += 1;
            counts.versions += document.count();
            *key = Some(Of { path: path.clone(), tenant: tenant.to_owned(), document });
            Ok(())
        }
        Kind::Part => {
            let of = key.as_ref().ok_or(MISPLACED)?;
            let is_id = *path == gather::id_path(&of.tenant, &of.document);
            let is_below = path.strip_prefix(&of.path).is_some_and(|rest| rest.starts_with('/'));
            let is_version = is_below && path[of.path.len()..].starts_with("/versions/");
            let version = gather::version_of(&of.path, path);
            let is_listed = version.is_some_and(|version| {
                of.document.lists(version) && !of.document.is_destroyed(version)
            });
            let is_fine = is_id || (is_below && (!is_version || is_listed));
            if is_fine { Ok(()) } else { Err(MISPLACED) }
        }
        Kind::End => Err(MISPLACED),
    }
}

/// Whether the path is one of those that only keys have.
fn is_of_a_key(path: &str) -> bool {
    let mut segments = path.split('/');
    segments.next() == Some(TENANTS) && matches!(segments.nth(1), Some("keys" | "key-ids"))
}
