//! Amounts, durations and times as people write and read them.

use holdfast_genesis::GenesisTime;
use holdfast_genesis::templates::COIN;
use holdfast_types::{Amount, TimestampMs};
use std::time::Duration;

/// Digits after the point of an amount in coins.
const COIN_DIGITS: usize = 6;

const _: () = assert!(COIN == 10u64.pow(COIN_DIGITS as u32));

const AMOUNT_RULE: &str = "an amount is a whole number of base units (250, 1_000_000), or coins with their name (1.5coin)";
const DURATION_RULE: &str = "a duration is a number with its unit: 500ms, 30s, 10m, 2h, 1d";

/// Reads an amount: base units, or coins if it says so. There is no guessing between the two.
pub(super) fn parse_amount(text: &str) -> Result<Amount, String> {
    let refused = || AMOUNT_RULE.to_owned();
    let plain = text.trim().replace('_', "");
    match plain.strip_suffix("coin") {
        Some(coins) => parse_coins(coins.trim_end()).ok_or_else(refused),
        None => digits(&plain).ok_or_else(refused),
    }
}

fn parse_coins(text: &str) -> Option<Amount> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.is_empty() || fraction.len() > COIN_DIGITS {
        return None;
    }
    let missing = u32::try_from(COIN_DIGITS - fraction.len()).ok()?;
    let fraction = digits(fraction)?.checked_mul(10u64.pow(missing))?;
    digits(whole)?.checked_mul(COIN)?.checked_add(fraction)
}

/// Digits only: the standard parser would also take a leading plus sign.
fn digits(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

/// An amount in base units, and in coins.
pub(super) fn show_amount(amount: Amount) -> String {
    let fraction = format!("{:06}", amount % COIN);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{amount} ({}{point}{fraction} coin)", amount / COIN)
}

/// Reads a duration.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let refused = || DURATION_RULE.to_owned();
    let text = text.trim();
    let unit_at = text
        .find(|character: char| !character.is_ascii_digit())
        .ok_or_else(refused)?;
    let (number, unit) = text.split_at(unit_at);
    let number = digits(number)
        .filter(|_| !number.is_empty())
        .ok_or_else(refused)?;
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(refused()),
    };
    number
        .checked_mul(unit_ms)
        .map(Duration::from_millis)
        .ok_or_else(refused)
}

/// "0.4 s", "75 s", "12 min", "3 h 20 min", "2 d 4 h": what is worth reading of a duration.
pub(super) fn show_seconds(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..10 => format!("{:.1} s", seconds.max(0.0)),
        10..120 => format!("{whole} s"),
        120..7_200 => format!("{} min", whole / 60),
        7_200..172_800 => format!("{} h {} min", whole / 3_600, whole % 3_600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3_600),
    }
}

/// "812 bytes", "3.4 KiB", "21.0 MiB".
pub(super) fn show_bytes(bytes: u64) -> String {
    const KIB: f64 = 1024.0;
    let size = bytes as f64;
    if size < KIB {
        format!("{bytes} bytes")
    } else if size < KIB * KIB {
        format!("{:.1} KiB", size / KIB)
    } else {
        format!("{:.1} MiB", size / KIB / KIB)
    }
}

/// A time in milliseconds since 1970 as date and time in UTC.
pub(super) fn show_time(milliseconds: u64) -> String {
    GenesisTime(TimestampMs(milliseconds)).to_string()
}

/// Now, in milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    crate::clock::wall().0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_are_base_units_unless_they_say_coin() {
        for (text, amount) in [
            ("250", 250),
            ("1_000_000", 1_000_000),
            ("0", 0),
            ("1coin", 1_000_000),
            ("1.5coin", 1_500_000),
            ("0.000001 coin", 1),
            ("100_000coin", 100_000_000_000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_amount(text), Ok(amount), "{text}");
        }
        for text in [
            "",
            "-1",
            "+1",
            "1.5",
            "1,5coin",
            "1.coin",
            ".5coin.",
            "1.0000001coin",
            "coins",
            "18446744073709551616",
            "18446744073709551615coin",
        ] {
            assert_eq!(parse_amount(text), Err(AMOUNT_RULE.to_owned()), "{text}");
        }
    }

    #[test]
    fn amounts_are_shown_in_base_units_and_coins() {
        assert_eq!(show_amount(0), "0 (0 coin)");
        assert_eq!(show_amount(1_187), "1187 (0.001187 coin)");
        assert_eq!(show_amount(2_500_000), "2500000 (2.5 coin)");
    }

    #[test]
    fn durations_have_units() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("10m", 600_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(milliseconds))
            );
        }
        for text in [
            "",
            "10",
            "s",
            "1.5h",
            "-1s",
            "10 s",
            "1w",
            "99999999999999999999s",
        ] {
            assert_eq!(
                parse_duration(text),
                Err(DURATION_RULE.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn figures_are_shown_as_long_as_they_are_worth() {
        let seconds = [0.04, 9.96, 75.0, 750.0, 12_000.0, 190_000.0].map(show_seconds);
        assert_eq!(
            seconds,
            ["0.0 s", "10.0 s", "75 s", "12 min", "3 h 20 min", "2 d 4 h"]
        );
        let bytes = [0, 1023, 3_482, 22_020_096].map(show_bytes);
        assert_eq!(bytes, ["0 bytes", "1023 bytes", "3.4 KiB", "21.0 MiB"]);
        assert_eq!(show_time(1_795_219_200_123), "2026-11-21T00:00:00.123Z");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(amount: u64) {
            let shown = show_amount(amount);
            let (base, coins) = shown.split_once(" (").unwrap();
            prop_assert_eq!(parse_amount(base), Ok(amount));
            prop_assert_eq!(parse_amount(coins.trim_end_matches(')')), Ok(amount));
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = parse_amount(&text);
            let _ = parse_duration(&text);
        }
    }
}
