//! Where the root key comes from.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use argon2::{Argon2, Params, Version};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use keyward_crypto::at_rest::RootKey;
use zeroize::Zeroizing;

use super::files::{create_private, io_error};
use super::header::{Header, Origin};
use crate::store::StoreError;

/// Standard base64, padding optional when reading.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The length of a root key in bytes.
const KEY_LEN: usize = 32;
const SALT_LEN: usize = 16;
/// The shortest passphrase for a new store, in bytes.
const PASSPHRASE_MIN: usize = 12;
/// More than any key file needs, in bytes.
const KEY_FILE_MAX: usize = 256;

/// Argon2id for new stores: the second recommendation of RFC 9106, section 4.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 4;
/// The most an existing header may ask for, so that a forged one cannot exhaust the machine.
const MAX_MEMORY_KIB: u32 = 2 * 1024 * 1024;
const MAX_PASSES: u32 = 64;
const MAX_LANES: u32 = 64;

/// Where the root key of an [`EmbeddedStore`](super::EmbeddedStore) comes from. A file and a value
/// are interchangeable: both give 32 bytes in base64.
pub enum RootKeySource {
    /// A file with 32 bytes in base64, which only its owner may read (mode 0600 or tighter). It
    /// is created when the store is new and there is no such file; for an existing store a
    /// missing file is an error.
    File(PathBuf),
    /// 32 bytes in base64, such as from an environment variable.
    Value(Zeroizing<String>),
    /// A passphrase, stretched by Argon2id with the salt and parameters in the store's header; at
    /// least 12 bytes for a new store.
    Passphrase(Zeroizing<String>),
}

impl RootKeySource {
    fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Value(_) => "the configured value".to_owned(),
            Self::Passphrase(_) => "the passphrase".to_owned(),
        }
    }

    pub(super) fn invalid(&self, reason: &'static str) -> StoreError {
        StoreError::RootKeyInvalid { source_name: self.name(), reason }
    }
}

/// The root key for a new store, and what its header says about it.
pub(super) fn establish(source: &RootKeySource) -> Result<(RootKey, Origin), StoreError> {
    match source {
        RootKeySource::File(path) => {
            let key = match read_key_file(source, path)? {
                Some(key) => key,
                None => create_key_file(source, path)?,
            };
            Ok((key, Origin::Key))
        }
        RootKeySource::Value(text) => Ok((parse(source, text)?, Origin::Key)),
        RootKeySource::Passphrase(passphrase) => {
            if passphrase.len() < PASSPHRASE_MIN {
                return Err(source.invalid("it must have at least 12 bytes"));
            }
            let mut salt = [0; SALT_LEN];
            keyward_crypto::random_bytes(&mut salt).map_err(|_| StoreError::Random)?;
            let key = stretch(source, passphrase, &salt, MEMORY_KIB, PASSES, LANES)?;
            let origin = Origin::Passphrase {
                salt: BASE64.encode(salt),
                memory_kib: MEMORY_KIB,
                passes: PASSES,
                lanes: LANES,
            };
            Ok((key, origin))
        }
    }
}

/// The root key of an existing store, checked against its header.
pub(super) fn unlock(
    source: &RootKeySource,
    header: &Header,
    database: &Path,
) -> Result<RootKey, StoreError> {
    let wrong = |reason| StoreError::WrongRootKey { path: database.to_owned(), reason };
    let key = match (source, &header.origin) {
        (RootKeySource::File(path), Origin::Key) => {
            read_key_file(source, path)?.ok_or_else(|| StoreError::RootKeyMissing {
                key_file: path.clone(),
                store: database.to_owned(),
            })?
        }
        (RootKeySource::Value(text), Origin::Key) => parse(source, text)?,
        (
            RootKeySource::Passphrase(passphrase),
            Origin::Passphrase { salt, memory_kib, passes, lanes },
        ) => {
            let bounded =
                *memory_kib <= MAX_MEMORY_KIB && *passes <= MAX_PASSES && *lanes <= MAX_LANES;
            let salt = BASE64.decode(salt).ok().filter(|_| bounded).ok_or_else(|| {
                StoreError::Corrupted {
                    path: database.to_owned(),
                    reason: "its header has impossible Argon2id parameters".to_owned(),
                }
            })?;
            stretch(source, passphrase, &salt, *memory_kib, *passes, *lanes)?
        }
        (_, Origin::Passphrase { .. }) => {
            return Err(wrong("it was created with a passphrase"));
        }
        (RootKeySource::Passphrase(_), Origin::Key) => {
            return Err(wrong("it was created with a key, not with a passphrase"));
        }
    };
    if header.proves(&key) { Ok(key) } else { Err(wrong("the key given does not fit")) }
}

fn parse(source: &RootKeySource, text: &str) -> Result<RootKey, StoreError> {
    const EXPECTED: &str = "expected 32 bytes in base64, such as `openssl rand -base64 32` prints";
    let text = text.trim();
    let mut bytes = Zeroizing::new([0_u8; KEY_LEN + 4]);
    match BASE64.decode_slice(text, bytes.as_mut_slice()) {
        Ok(KEY_LEN) => {}
        _ => return Err(source.invalid(EXPECTED)),
    }
    RootKey::from_bytes(&bytes[..KEY_LEN]).map_err(|_| source.invalid(EXPECTED))
}

/// Reads the key file; `None` when there is none.
fn read_key_file(source: &RootKeySource, path: &Path) -> Result<Option<RootKey>, StoreError> {
    let fail = |error: io::Error| match error.kind() {
        io::ErrorKind::InvalidData => source.invalid("the file is not text"),
        _ => io_error(path, &error),
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(error)),
    };
    let mode = file.metadata().map_err(fail)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(StoreError::RootKeyExposed { path: path.to_owned(), mode });
    }
    // All the room at once, so that no copy is left behind by growing.
    let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_MAX + 1));
    file.take(KEY_FILE_MAX as u64).read_to_string(&mut text).map_err(fail)?;
    parse(source, &text).map(Some)
}

/// Creates the key file whole or not at all, and never in place of another.
fn create_key_file(source: &RootKeySource, path: &Path) -> Result<RootKey, StoreError> {
    let fail = |error: io::Error| io_error(path, &error);
    let key = RootKey::generate().map_err(|_| StoreError::Random)?;
    let mut text = Zeroizing::new(String::with_capacity(64));
    BASE64.encode_string(key.expose(), &mut text);
    text.push('\n');

    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
        _ => {}
    }
    let mut file = create_private(&unfinished)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(fail)?;
    let linked = fs::hard_link(&unfinished, path);
    fs::remove_file(&unfinished).map_err(fail)?;
    match linked {
        Ok(()) => {}
        // Another store made the file in this moment; its key is as good.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return read_key_file(source, path)?
                .ok_or_else(|| source.invalid("the file vanished while it was read"));
        }
        Err(error) => return Err(fail(error)),
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new("."))).and_then(|dir| dir.sync_all()).map_err(fail)?;
    Ok(key)
}

fn stretch(
    source: &RootKeySource,
    passphrase: &str,
    salt: &[u8],
    memory_kib: u32,
    passes: u32,
    lanes: u32,
) -> Result<RootKey, StoreError> {
    let impossible = || source.invalid("Argon2id refused it or the parameters in the header");
    let params = Params::new(memory_kib, passes, lanes, Some(KEY_LEN)).map_err(|_| impossible())?;
    let mut key = Zeroizing::new([0_u8; KEY_LEN]);
    Argon2::new(argon2::Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, key.as_mut_slice())
        .map_err(|_| impossible())?;
    RootKey::from_bytes(key.as_slice()).map_err(|_| impossible())
}
