//! The commands, by what they are about.

pub mod backups;
pub mod data;
pub mod keys;
pub mod management;
pub mod policies;
pub mod receipts;
pub mod streams;
pub mod tokens;
