//! Wall-clock time and its text.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in milliseconds since 1970-01-01T00:00:00Z.
pub(crate) fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

/// Appends RFC 3339 text in UTC with milliseconds: `2026-02-28T12:00:00.000Z`.
pub(crate) fn push_rfc3339(out: &mut Vec<u8>, unix_ms: u64) {
    let (seconds, ms) = (unix_ms / 1_000, unix_ms % 1_000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_from_days(days);
    for (value, width, end) in [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (second / 3_600, 2, b':'),
        (second / 60 % 60, 2, b':'),
        (second % 60, 2, b'.'),
        (ms, 3, b'Z'),
    ] {
        push_padded(out, value, width);
        out.push(end);
    }
}

/// RFC 3339 text in UTC with milliseconds, for instance `2026-02-28T12:00:00.000Z`.
pub fn rfc3339(unix_ms: u64) -> String {
    let mut out = Vec::with_capacity(24);
    push_rfc3339(&mut out, unix_ms);
    String::from_utf8(out).unwrap_or_default()
}

/// Milliseconds since the Unix epoch, of that number or of RFC 3339 text in UTC, with a fraction or
/// without: `2026-02-28T12:00:00Z`.
pub fn parse(text: &str) -> Option<u64> {
    if (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let text = text.strip_suffix('Z')?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if seconds.len() != 19 || !(1..=9).contains(&fraction.len()) {
        return None;
    }
    let number = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten()
    };
    let ms = number(&format!("{fraction:0<3}")[..3])?;
    number(fraction)?;
    let part = |at: usize| number(seconds.get(at..at + 2)?);
    let year = number(seconds.get(..4)?).filter(|year| *year >= 1970)?;
    let (month, day, hour, minute, second) = (part(5)?, part(8)?, part(11)?, part(14)?, part(17)?);
    if month == 0 || day == 0 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Counted from March, the leap day comes last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468)?;
    let parsed = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000 + ms;
    // Only what comes out again as it was is a date: not the 31st of June.
    rfc3339(parsed).starts_with(seconds).then_some(parsed)
}

fn push_padded(out: &mut Vec<u8>, value: u64, width: u32) {
    for place in (0..width).rev() {
        // A remainder of ten is one digit.
        out.push(b'0' + u8::try_from(value / 10_u64.pow(place) % 10).unwrap_or(0));
    }
}

/// Proleptic Gregorian date of a day since 1970-01-01, counting years from March so that the leap
/// day comes last.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::{parse, rfc3339};

    #[test]
    fn times_are_read() {
        for ms in [0, 951_782_400_000, 1_709_251_199_999, 4_107_542_400_000, 1_077_926_400_000] {
            assert_eq!(parse(&rfc3339(ms)), Some(ms));
            assert_eq!(parse(&ms.to_string()), Some(ms));
        }
        assert_eq!(parse("2004-02-28T00:00:00Z"), Some(1_077_926_400_000));
        assert_eq!(parse("2004-02-28T00:00:00.5Z"), Some(1_077_926_400_500));
        for bad in [
            "",
            "yesterday",
            "2004-02-30T00:00:00Z",
            "2004-02-28",
            "2004-02-28T24:00:00Z",
            "2004-02-28 00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2004-02-28T00:00:00.Z",
            "é004-02-28T00:00:00Z",
            "2004-02-28T00:00:00.xZ",
            "99999999999999999999",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn known_times() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(rfc3339(1_709_251_199_999), "2024-02-29T23:59:59.999Z");
        assert_eq!(rfc3339(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
    }
}
