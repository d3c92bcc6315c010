//! Calendar time, as a person writes it in the document.

use holdfast_types::TimestampMs;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use toml::value::{Date, Datetime, Offset, Time};

const DAY_MS: u64 = 86_400_000;
/// Days from 0000-03-01 to 1970-01-01 in the proleptic Gregorian calendar.
const DAYS_TO_1970: u64 = 719_468;
/// Days of 400 years.
const DAYS_OF_400_YEARS: u64 = 146_097;

/// The time of block 0: milliseconds since 1970, written as a TOML date-time with offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GenesisTime(pub TimestampMs);

impl GenesisTime {
    /// The date-time in UTC. After the year 9999, which TOML cannot write, its last millisecond.
    fn to_datetime(self) -> Datetime {
        let last = days_from_civil(10_000, 1, 1).saturating_mul(DAY_MS) - 1;
        let milliseconds = self.0.0.min(last);
        let (year, month, day) = civil_from_days(milliseconds / DAY_MS);
        let of_day = milliseconds % DAY_MS;
        let small = |value: u64| u8::try_from(value).unwrap_or(u8::MAX);
        Datetime {
            date: Some(Date {
                year: u16::try_from(year).unwrap_or(u16::MAX),
                month: small(month),
                day: small(day),
            }),
            time: Some(Time {
                hour: small(of_day / 3_600_000),
                minute: small(of_day / 60_000 % 60),
                second: Some(small(of_day / 1_000 % 60)),
                nanosecond: u32::try_from(of_day % 1_000 * 1_000_000)
                    .ok()
                    .filter(|nanosecond| *nanosecond > 0),
            }),
            offset: Some(Offset::Z),
        }
    }

    /// None without date, time or offset, and before 1970.
    fn from_datetime(datetime: &Datetime) -> Option<Self> {
        let (date, time, offset) = (datetime.date?, datetime.time?, datetime.offset?);
        if date.year < 1970 {
            return None;
        }
        let days = days_from_civil(date.year.into(), date.month.into(), date.day.into());
        let minutes = u64::from(time.hour) * 60 + u64::from(time.minute);
        let seconds = minutes * 60 + u64::from(time.second.unwrap_or(0));
        let milliseconds = seconds * 1_000 + u64::from(time.nanosecond.unwrap_or(0)) / 1_000_000;
        let east_ms = match offset {
            Offset::Z => 0,
            Offset::Custom { minutes } => i64::from(minutes) * 60_000,
        };
        (days * DAY_MS + milliseconds)
            .checked_add_signed(-east_ms)
            .map(|milliseconds| Self(TimestampMs(milliseconds)))
    }
}

impl fmt::Display for GenesisTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_datetime().fmt(formatter)
    }
}

impl Serialize for GenesisTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_datetime().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for GenesisTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let datetime = Datetime::deserialize(deserializer)?;
        Self::from_datetime(&datetime).ok_or_else(|| {
            serde::de::Error::custom(
                "a date and time after 1970 with offset, like 2026-11-21T08:00:00Z",
            )
        })
    }
}

/// Days since 1970-01-01 of a date not before 1970, by Howard Hinnant's `days_from_civil`: years begin in March, so
/// that the leap day is the last of its year.
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year;
    days - DAYS_TO_1970
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_TO_1970;
    let era = days / DAYS_OF_400_YEARS;
    let of_era = days % DAYS_OF_400_YEARS;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let year = year_of_era + era * 400;
    if month < 10 {
        (year, month + 3, day)
    } else {
        (year + 1, month - 9, day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Option<u64> {
        let datetime = text.parse().ok()?;
        GenesisTime::from_datetime(&datetime).map(|time| time.0.0)
    }

    #[test]
    fn known_dates() {
        assert_eq!(parse("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(parse("2000-02-29T12:34:56.789Z"), Some(951_827_696_789));
        assert_eq!(parse("2026-11-21T08:00:00+01:00"), Some(1_795_244_400_000));
        assert_eq!(parse("1969-12-31T23:59:59Z"), None);
        assert_eq!(parse("1970-01-01T00:00:00+01:00"), None);
        assert_eq!(parse("2026-11-21T08:00:00"), None);
        assert_eq!(parse("2026-11-21"), None);
        assert_eq!(
            GenesisTime(TimestampMs(951_827_696_789)).to_string(),
            "2000-02-29T12:34:56.789Z"
        );
        assert_eq!(
            GenesisTime(TimestampMs(u64::MAX)).to_string(),
            "9999-12-31T23:59:59.999Z"
        );
    }

    proptest! {
        #[test]
        fn text_and_back(milliseconds in 0u64..253_402_300_800_000) {
            let text = GenesisTime(TimestampMs(milliseconds)).to_string();
            prop_assert_eq!(parse(&text), Some(milliseconds));
        }
    }
}
