//! The results of host functions as values, and back.

use keyward_crypto::Algorithm as KeyAlgorithm;
use zeroize::Zeroizing;

use crate::bindings::{Algorithm, state, types};
use crate::error::HostError;
use crate::trace::Value;

/// A result that can be noted, and answered from what was noted.
pub(crate) trait Crossing: Sized {
    /// As it is noted.
    fn note(&self) -> Value;
    /// From what was noted; none if that is no such result.
    fn replay(value: Value) -> Option<Self>;
}

impl Crossing for () {
    fn note(&self) -> Value {
        Value::Nothing
    }

    fn replay(value: Value) -> Option<Self> {
        (value == Value::Nothing).then_some(())
    }
}

impl Crossing for bool {
    fn note(&self) -> Value {
        Value::Bool(*self)
    }

    fn replay(value: Value) -> Option<Self> {
        if let Value::Bool(value) = value { Some(value) } else { None }
    }
}

/// Integers of any kind.
macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Crossing for $number {
            fn note(&self) -> Value {
                Value::Number((*self).into())
            }

            fn replay(value: Value) -> Option<Self> {
                if let Value::Number(value) = value { value.try_into().ok() } else { None }
            }
        }
    )*};
}

numbers!(u32, u64, i64);

impl Crossing for state::Entry {
    fn note(&self) -> Value {
        Value::List(vec![self.value.note(), self.revision.note()])
    }

    fn replay(value: Value) -> Option<Self> {
        let Value::List(parts) = value else { return None };
        let [value, revision] = <[Value; 2]>::try_from(parts).ok()?;
        Some(Self { value: Vec::replay(value)?, revision: u64::replay(revision)? })
    }
}

impl Crossing for String {
    fn note(&self) -> Value {
        Value::Text(self.clone())
    }

    fn replay(value: Value) -> Option<Self> {
        if let Value::Text(text) = value { Some(text) } else { None }
    }
}

impl Crossing for Algorithm {
    fn note(&self) -> Value {
        Value::Text(KeyAlgorithm::from(*self).to_string())
    }

    fn replay(value: Value) -> Option<Self> {
        String::replay(value)?.parse::<KeyAlgorithm>().ok().map(Into::into)
    }
}

impl Crossing for Vec<u8> {
    fn note(&self) -> Value {
        Value::Bytes(Zeroizing::new(self.clone()))
    }

    fn replay(value: Value) -> Option<Self> {
        if let Value::Bytes(mut data) = value { Some(std::mem::take(&mut *data)) } else { None }
    }
}

impl<T: Crossing> Crossing for Option<T> {
    fn note(&self) -> Value {
        self.as_ref().map_or(Value::Nothing, T::note)
    }

    fn replay(value: Value) -> Option<Self> {
        if value == Value::Nothing { Some(None) } else { T::replay(value).map(Some) }
    }
}

impl<T: Crossing> Crossing for Result<T, types::Error> {
    fn note(&self) -> Value {
        match self {
            Ok(value) => value.note(),
            Err(error) => Value::Refused(HostError::from(error.clone())),
        }
    }

    fn replay(value: Value) -> Option<Self> {
        match value {
            Value::Refused(error) => Some(Err(error.into())),
            value => T::replay(value).map(Ok),
        }
    }
}

/// Lists of what is no byte.
macro_rules! lists {
    ($($item:ty),*) => {$(
        impl Crossing for Vec<$item> {
            fn note(&self) -> Value {
                Value::List(self.iter().map(Crossing::note).collect())
            }

            fn replay(value: Value) -> Option<Self> {
                let Value::List(items) = value else { return None };
                items.into_iter().map(<$item>::replay).collect()
            }
        }
    )*};
}

lists!(Vec<u8>, Result<Vec<u8>, types::Error>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_back_as_they_were() {
        fn check<T: Crossing + PartialEq + std::fmt::Debug>(result: T) {
            assert_eq!(T::replay(result.note()), Some(result));
        }
        check(());
        check(true);
        check(7_u32);
        check(u64::MAX);
        check(-1_i64);
        check(Some(state::Entry { value: b"v".to_vec(), revision: u64::MAX }));
        check(Algorithm::Xaes256Gcm);
        check(Some("text".to_owned()));
        check(None::<u32>);
        let refused = || types::Error::Denied("no".into());
        check(Ok::<_, types::Error>(Some(3_u32)));
        check(Err::<bool, _>(refused()));
        check(vec![Ok(b"a".to_vec()), Err(refused())]);
        check(vec![b"a".to_vec(), Vec::new()]);
        assert_eq!(u32::replay(Value::Text("7".into())), None);
    }
}
