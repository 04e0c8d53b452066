//! Finding records below a folder.

use super::error::BackupError;
use crate::store::{Record, Store, StoreError};

/// What is at a path.
pub(super) enum Look {
    Found(Record),
    Absent,
    /// A record that the store knows of and cannot give, however often it is asked.
    Unreadable,
}

/// Looks at a path. One record that cannot be read does not keep the others from being saved.
pub(super) async fn look(store: &dyn Store, path: &str) -> Result<Look, BackupError> {
    match store.get(path).await {
        Ok(Some(record)) => Ok(Look::Found(record)),
        Ok(None) => Ok(Look::Absent),
        Err(
            StoreError::Deleted { .. }
            | StoreError::Corrupted { .. }
            | StoreError::CorruptedInVault { .. }
            | StoreError::TransitRefused { .. },
        ) => Ok(Look::Unreadable),
        Err(error) => Err(error.into()),
    }
}

/// The children of a folder: names of folders and names of records.
pub(super) async fn children(
    store: &dyn Store,
    folder: &str,
) -> Result<(Vec<String>, Vec<String>), BackupError> {
    let at =
        |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
    let (mut folders, mut records) = (Vec::new(), Vec::new());
    for child in store.list(folder).await? {
        match child.strip_suffix('/') {
            Some(name) => folders.push(at(name)),
            None => records.push(at(&child)),
        }
    }
    Ok((folders, records))
}

/// The paths of every record below a folder. What lies in the folder of a record's name comes
/// before the record.
pub(super) async fn below(store: &dyn Store, folder: &str) -> Result<Vec<String>, BackupError> {
    enum Todo {
        Folder(String),
        Records(Vec<String>),
    }
    let mut found = Vec::new();
    let mut todo = vec![Todo::Folder(folder.to_owned())];
    while let Some(next) = todo.pop() {
        match next {
            Todo::Records(records) => found.extend(records),
            Todo::Folder(folder) => {
                let (folders, records) = children(store, &folder).await?;
                todo.push(Todo::Records(records));
                todo.extend(folders.into_iter().rev().map(Todo::Folder));
            }
        }
    }
    Ok(found)
}
