//! Durations as text: a whole number and a unit, such as `30s`, `15m`, `1h` or `30d`.

use std::fmt;
use std::time::Duration;

/// The units, largest first, with their milliseconds.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a whole number with unit `ms`, `s`, `m`, `h` or `d`. `None` for anything else.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit)?;
    Some(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(*millis)?))
}

/// A duration to the millisecond, in the largest unit that fits; nothing is `0s`.
pub(crate) struct Text(pub(crate) Duration);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if millis == 0 {
            return f.write_str("0s");
        }
        let fitting = UNITS.iter().find(|(_, unit)| millis.is_multiple_of(*unit));
        let (name, unit) = fitting.unwrap_or(&("ms", 1));
        write!(f, "{}{name}", millis / unit)
    }
}
