//! age files, as the `age` tool makes and opens them.

use std::io::{Read as _, Write as _};

use age::secrecy::ExposeSecret as _;
use age::{Decryptor, Encryptor, x25519};

/// Who opens the backups of a test.
pub struct Owner(x25519::Identity);

impl Owner {
    /// A new one.
    #[allow(clippy::new_without_default, reason = "each is another")]
    pub fn new() -> Self {
        Self(x25519::Identity::generate())
    }

    /// To whom to encrypt (`age1…`).
    pub fn recipient(&self) -> String {
        self.0.to_public().to_string()
    }

    /// What `age-keygen` writes.
    pub fn file(&self) -> String {
        let secret = self.0.to_string();
        format!("# public key: {}\n{}\n", self.recipient(), secret.expose_secret())
    }

    /// What is in an age file.
    pub fn open(&self, file: &[u8]) -> Vec<u8> {
        let decryptor = Decryptor::new(file).unwrap();
        let mut reader = decryptor.decrypt(std::iter::once(&self.0 as _)).unwrap();
        let mut content = Vec::new();
        reader.read_to_end(&mut content).unwrap();
        content
    }
}

/// An age file with this content.
pub fn seal(recipient: &str, content: &[u8]) -> Vec<u8> {
    let recipient: x25519::Recipient = recipient.parse().unwrap();
    let encryptor = Encryptor::with_recipients(std::iter::once(&recipient as _)).unwrap();
    let mut file = Vec::new();
    let mut writer = encryptor.wrap_output(&mut file).unwrap();
    writer.write_all(content).unwrap();
    writer.finish().unwrap();
    file
}
