//! What a ciphertext is bound to: the authenticated data.

use crate::{CryptoError, Header};

/// Opens the authenticated data and names its layout.
const DOMAIN: &[u8] = b"keyward aad v1\0";
/// Authenticated data up to this many bytes is assembled on the stack.
const ON_STACK: usize = 512;

/// Who sealed: part of the authenticated data, so that one side never opens what the other sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// The host, executing the plan of a policy on the payload of a request.
    Payload,
    /// A policy, through the `sealing` interface.
    Policy,
}

impl Channel {
    const fn id(self) -> u8 {
        match self {
            Self::Payload => 0x01,
            Self::Policy => 0x02,
        }
    }
}

/// Everything besides the header that a ciphertext is bound to. It opens only under an equal
/// binding. Each part may be up to 2^32 - 1 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding<'a> {
    /// Who seals.
    pub channel: Channel,
    /// Name of the tenant.
    pub tenant: &'a str,
    /// Name of the key within the tenant.
    pub key_name: &'a str,
    /// What the policy adds; may be empty.
    pub policy_data: &'a [u8],
    /// What the caller adds; may be empty.
    pub context: &'a [u8],
}

impl Binding<'_> {
    /// Calls `use_it` with the authenticated data:
    /// `DOMAIN || header || channel || lp(tenant) || lp(key_name) || lp(policy_data) || lp(context)`
    /// where `lp(x)` is the length of `x` as u32 big-endian, then `x`.
    pub(crate) fn with_aad<T>(
        &self,
        header: [u8; Header::LEN],
        use_it: impl FnOnce(&[u8]) -> Result<T, CryptoError>,
    ) -> Result<T, CryptoError> {
        let parts =
            [self.tenant.as_bytes(), self.key_name.as_bytes(), self.policy_data, self.context];
        let mut length = DOMAIN.len() + Header::LEN + 1;
        for part in parts {
            u32::try_from(part.len()).map_err(|_| CryptoError::TooLong)?;
            length = length.checked_add(4 + part.len()).ok_or(CryptoError::TooLong)?;
        }

        let (mut stack, mut heap);
        let aad: &mut [u8] = if length <= ON_STACK {
            stack = [0; ON_STACK];
            &mut stack[..length]
        } else {
            heap = vec![0; length];
            &mut heap
        };
        let rest = put(aad, DOMAIN);
        let rest = put(rest, &header);
        let mut rest = put(rest, &[self.channel.id()]);
        for part in parts {
            rest = put(rest, &length_prefix(part)?);
            rest = put(rest, part);
        }
        use_it(aad)
    }
}

/// The length of `part` as u32 big-endian.
pub(crate) fn length_prefix(part: &[u8]) -> Result<[u8; 4], CryptoError> {
    u32::try_from(part.len()).map(u32::to_be_bytes).map_err(|_| CryptoError::TooLong)
}

/// Writes `bytes` at the front of `out` and returns what lies behind them.
fn put<'a>(out: &'a mut [u8], bytes: &[u8]) -> &'a mut [u8] {
    let (front, back) = out.split_at_mut(bytes.len());
    front.copy_from_slice(bytes);
    back
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KeyId, Suite};

    const HEADER: Header =
        Header { suite: Suite::XAes256Gcm, key_id: KeyId(0x0102_0304_0506_0708), key_version: 9 };

    fn aad(binding: &Binding<'_>) -> Vec<u8> {
        binding.with_aad(HEADER.to_bytes(), |aad| Ok(aad.to_vec())).unwrap()
    }

    #[test]
    fn the_layout_is_as_documented() {
        let binding = Binding {
            channel: Channel::Policy,
            tenant: "t",
            key_name: "key",
            policy_data: b"",
            context: b"ab",
        };
        let expected = b"keyward aad v1\0\
            \x01\x01\x01\x02\x03\x04\x05\x06\x07\x08\x00\x00\x00\x09\
            \x02\
            \x00\x00\x00\x01t\
            \x00\x00\x00\x03key\
            \x00\x00\x00\x00\
            \x00\x00\x00\x02ab";
        assert_eq!(aad(&binding), expected);
    }

    #[test]
    fn stack_and_heap_agree() {
        for extra in 0..700 {
            let context = vec![b'x'; extra];
            let binding = Binding {
                channel: Channel::Payload,
                tenant: "acme",
                key_name: "orders",
                policy_data: b"p",
                context: &context,
            };
            let aad = aad(&binding);
            assert!(aad.ends_with(&context));
            assert_eq!(aad.len(), DOMAIN.len() + Header::LEN + 1 + 16 + 4 + 6 + 1 + extra);
        }
    }

    #[test]
    fn moving_bytes_between_parts_changes_the_data() {
        let one = Binding {
            channel: Channel::Payload,
            tenant: "ab",
            key_name: "c",
            policy_data: b"",
            context: b"",
        };
        let two = Binding { tenant: "a", key_name: "bc", ..one };
        let three = Binding { key_name: "", policy_data: b"c", ..one };
        let four = Binding { key_name: "", context: b"c", ..one };
        let all = [aad(&one), aad(&two), aad(&three), aad(&four)];
        for (i, left) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|right| left != right));
        }
    }
}
