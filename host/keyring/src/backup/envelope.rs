//! The age format (<https://age-encryption.org/v1>) around a backup: to whom it is encrypted, and
//! who opens it.

use std::fmt;
use std::io::{BufReader, Read, Write};

use age::secrecy::SecretString;
use age::stream::StreamReader;
use age::{DecryptError, Decryptor, Encryptor, Identity, Recipient, scrypt, x25519};
use zeroize::Zeroizing;

use super::error::BackupError;

/// log2 of scrypt's N for new backups, as the `age` tool has it: 256 MiB of memory.
const WORK: u8 = 18;
/// The most work a backup may ask for: 1 GiB of memory.
const MAX_WORK: u8 = 20;
/// The shortest passphrase for a new backup, in bytes.
const PASSPHRASE_MIN: usize = 12;
const MAGIC: &[u8] = b"age-encryption.org/";

/// Who will be able to open a backup, or read an audit log.
#[derive(Clone)]
pub struct Recipients(To);

#[derive(Clone)]
enum To {
    Keys(Vec<x25519::Recipient>),
    Passphrase(Zeroizing<String>, u8),
}

impl fmt::Debug for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            To::Keys(keys) => f.debug_list().entries(keys.iter().map(ToString::to_string)).finish(),
            To::Passphrase(..) => f.write_str("a passphrase"),
        }
    }
}

impl Recipients {
    /// X25519 recipients of age (`age1…`), any of whom can open the backup. Fails with
    /// [`BackupError::Recipient`], also for none.
    pub fn keys<T: AsRef<str>>(
        recipients: impl IntoIterator<Item = T>,
    ) -> Result<Self, BackupError> {
        let parse = |text: T| {
            let text = text.as_ref().trim();
            let shown = || BackupError::Recipient(text.chars().take(80).collect());
            // A secret key given by mistake is not shown.
            if text.to_ascii_uppercase().contains("SECRET") {
                return Err(BackupError::Recipient("a secret key".to_owned()));
            }
            text.parse::<x25519::Recipient>().map_err(|_| shown())
        };
        let keys = recipients.into_iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(BackupError::Recipient(String::new()));
        }
        Ok(Self(To::Keys(keys)))
    }

    /// A passphrase of at least 12 bytes, stretched by scrypt with 256 MiB of memory. Fails with
    /// [`BackupError::Passphrase`].
    pub fn passphrase(passphrase: Zeroizing<String>) -> Result<Self, BackupError> {
        if passphrase.len() < PASSPHRASE_MIN {
            return Err(BackupError::Passphrase);
        }
        Ok(Self(To::Passphrase(passphrase, WORK)))
    }

    /// The recipients (`age1…`); none of a passphrase.
    pub fn names(&self) -> Vec<String> {
        match &self.0 {
            To::Keys(keys) => keys.iter().map(ToString::to_string).collect(),
            To::Passphrase(..) => Vec::new(),
        }
    }

    /// A binary age file with a few bytes in it. Blocks: a passphrase takes about a second.
    pub fn seal(&self, plaintext: &[u8]) -> Result<Vec<u8>, BackupError> {
        let mut sealed = Vec::new();
        let writing = |error: std::io::Error| BackupError::Io {
            action: "writing",
            reason: error.to_string(),
        };
        let mut writer = self.encryptor()?.wrap_output(&mut sealed).map_err(writing)?;
        writer.write_all(plaintext).map_err(writing)?;
        writer.finish().map_err(writing)?;
        Ok(sealed)
    }

    #[cfg(test)]
    pub(super) fn with_little_work(passphrase: &str) -> Self {
        Self(To::Passphrase(passphrase.to_owned().into(), 4))
    }

    /// Blocks: a passphrase takes about a second.
    pub(super) fn encryptor(&self) -> Result<Encryptor, BackupError> {
        let encryptor = match &self.0 {
            To::Keys(keys) => {
                Encryptor::with_recipients(keys.iter().map(|key| key as &dyn Recipient))
            }
            To::Passphrase(passphrase, work) => {
                let mut recipient = scrypt::Recipient::new(secret(passphrase));
                recipient.set_work_factor(*work);
                Encryptor::with_recipients(std::iter::once(&recipient as &dyn Recipient))
            }
        };
        encryptor.map_err(|_| BackupError::Recipient("the list of recipients".to_owned()))
    }
}

fn secret(passphrase: &Zeroizing<String>) -> SecretString {
    SecretString::from(passphrase.as_str().to_owned())
}

/// What opens a backup.
#[derive(Clone)]
pub struct Identities(From);

#[derive(Clone)]
enum From {
    Keys(Vec<x25519::Identity>),
    Passphrase(Zeroizing<String>),
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            From::Keys(keys) => write!(f, "{} identities", keys.len()),
            From::Passphrase(_) => f.write_str("a passphrase"),
        }
    }
}

impl Identities {
    /// The X25519 identities in the text of a file that `age-keygen` wrote: one on each line, but
    /// for empty lines and those that begin with `#`. Fails with [`BackupError::Identity`] and the
    /// line's number; with line 0 when there is none.
    pub fn keys(text: &str) -> Result<Self, BackupError> {
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            keys.push(line.parse().map_err(|_| BackupError::Identity(index + 1))?);
        }
        if keys.is_empty() {
            return Err(BackupError::Identity(0));
        }
        Ok(Self(From::Keys(keys)))
    }

    /// The passphrase the backup was made with.
    pub fn passphrase(passphrase: Zeroizing<String>) -> Self {
        Self(From::Passphrase(passphrase))
    }

    /// A new X25519 identity that is nowhere but in memory, and its recipient (`age1…`).
    pub fn generate() -> (Self, String) {
        let identity = x25519::Identity::generate();
        let recipient = identity.to_public().to_string();
        (Self(From::Keys(vec![identity])), recipient)
    }

    /// Opens what [`Recipients::seal`] made. Blocks.
    pub fn unseal(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, BackupError> {
        let mut plaintext = Zeroizing::new(Vec::with_capacity(sealed.len()));
        let read = self.open(sealed)?.read_to_end(&mut plaintext);
        read.map_err(|error| BackupError::reading(&error))?;
        Ok(plaintext)
    }

    /// Opens the age file that `source` holds from here on. Blocks.
    pub(super) fn open<R: Read>(
        &self,
        source: R,
    ) -> Result<StreamReader<BufReader<impl Read + use<R>>>, BackupError> {
        let mut source = source;
        let mut start = Vec::with_capacity(MAGIC.len());
        let limit = MAGIC.len() as u64;
        source
            .by_ref()
            .take(limit)
            .read_to_end(&mut start)
            .map_err(|e| BackupError::reading(&e))?;
        if start.starts_with(b"-----BEGIN AGE") {
            return Err(BackupError::Foreign("it is armored, and a backup is a binary age file"));
        }
        if start != MAGIC {
            return Err(BackupError::Foreign("it is not an age file"));
        }
        let whole = BufReader::new(std::io::Cursor::new(start).chain(source));
        let decryptor = Decryptor::new_buffered(whole).map_err(|error| explain(&error))?;
        match (&self.0, decryptor.is_scrypt()) {
            (From::Keys(_), true) => {
                Err(BackupError::WrongIdentity("it was made with a passphrase: give that"))
            }
            (From::Passphrase(_), false) => {
                Err(BackupError::WrongIdentity("it was made for age keys: give an identity file"))
            }
            (From::Keys(keys), false) => {
                { decryptor.decrypt(keys.iter().map(|key| key as &dyn Identity)) }
                    .map_err(|error| explain(&error))
            }
            (From::Passphrase(passphrase), true) => {
                let mut identity = scrypt::Identity::new(secret(passphrase));
                identity.set_max_work_factor(MAX_WORK);
                let opened = decryptor.decrypt(std::iter::once(&identity as &dyn Identity));
                opened.map_err(|error| match error {
                    DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
                        BackupError::WrongIdentity("the passphrase is another")
                    }
                    error => explain(&error),
                })
            }
        }
    }
}

fn explain(error: &DecryptError) -> BackupError {
    match error {
        DecryptError::NoMatchingKeys => {
            BackupError::WrongIdentity("give the identity file of one of its recipients")
        }
        DecryptError::UnknownFormat => {
            BackupError::Foreign("it is of a version of age unknown here")
        }
        DecryptError::ExcessiveWork { .. } => {
            BackupError::Damaged("its passphrase takes more work than any backup asks for")
        }
        DecryptError::Io(error) => BackupError::reading(error),
        _ => BackupError::Damaged("its age header is not what was written"),
    }
}

#[cfg(test)]
mod tests {
    use age::secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_few_bytes_are_for_their_recipients() {
        let (identities, recipient) = Identities::generate();
        let (other, _) = Identities::generate();
        let recipients = Recipients::keys([&recipient]).unwrap();
        assert_eq!(recipients.names(), [recipient]);
        let sealed = recipients.seal(b"a few bytes").unwrap();
        assert_eq!(identities.unseal(&sealed).unwrap().as_slice(), b"a few bytes");
        assert_eq!(other.unseal(&sealed).unwrap_err().code(), "backup-wrong-identity");
        for length in 0..sealed.len() {
            assert!(identities.unseal(&sealed[..length]).is_err(), "cut to {length}");
        }
    }

    #[test]
    fn keys_are_read_and_never_shown() {
        let identity = x25519::Identity::generate();
        let text = identity.to_string();
        let file = format!("# created: now\n\n{}\n", text.expose_secret());
        let identities = Identities::keys(&file).unwrap();
        assert_eq!(format!("{identities:?}"), "1 identities");
        let public = identity.to_public().to_string();
        assert_eq!(format!("{:?}", Recipients::keys([&public]).unwrap()), format!("[{public:?}]"));
        let mistaken = Recipients::keys([text.expose_secret()]).unwrap_err();
        assert!(!format!("{mistaken:?} {mistaken}").contains("AGE-SECRET-KEY-1"));
        assert_eq!(Identities::keys("# none\nx").unwrap_err(), BackupError::Identity(2));
        assert_eq!(Identities::keys("").unwrap_err(), BackupError::Identity(0));
        assert_eq!(Recipients::keys([""; 0]).unwrap_err().code(), "backup-recipient-invalid");
        let short = Recipients::passphrase("short".to_owned().into()).unwrap_err();
        assert_eq!(short.code(), "backup-passphrase-short");
    }
}
