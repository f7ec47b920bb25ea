//! Kubernetes resource quantities: `500m`, `1.5Gi`, `2e3` (`apimachinery/pkg/api/resource`).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// Quantities are kept in billionths: the finest suffix is `n`.
const NANOS: i128 = 1_000_000_000;

/// No quantity is larger than 2⁶³−1 in magnitude; larger ones are capped.
const MAX_NANOS: i128 = i64::MAX as i128 * NANOS;

/// Longest text: far more digits than the range has.
const MAX_LENGTH: usize = 256;

const DECIMAL: [(&str, i32); 10] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];

const BINARY: [(&str, u32); 6] = [("Ki", 1), ("Mi", 2), ("Gi", 3), ("Ti", 4), ("Pi", 5), ("Ei", 6)];

/// Why a text is no quantity.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{text:?} is not a quantity: it must be a number with an optional suffix, like 500m, 1.5, 2Gi or 1e3 \
     (quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$')"
)]
pub struct QuantityError {
    text: String,
}

/// A fixed-point number that remembers which family of suffixes it was written with.
///
/// Precision is one billionth; finer digits round away from zero, magnitudes above 2⁶³−1 are capped. Comparison is
/// by amount: `1Ki` equals `1024`.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nanos: i128,
    family: Family,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    DecimalSi,
    DecimalExponent,
    BinarySi,
}

impl Quantity {
    /// The amount in thousandths, rounded up (away from zero): millicores of a CPU.
    #[must_use]
    pub fn milli(&self) -> i128 {
        divide_up(self.nanos, NANOS / 1000)
    }

    /// The amount in whole units, rounded up (away from zero): bytes of memory.
    #[must_use]
    pub fn value(&self) -> i128 {
        divide_up(self.nanos, NANOS)
    }

    /// A decimal quantity of so many thousandths.
    #[must_use]
    pub fn from_milli(milli: i64) -> Self {
        Self {
            nanos: i128::from(milli) * (NANOS / 1000),
            family: Family::DecimalSi,
        }
    }

    /// A quantity of so many units, shown with binary suffixes: bytes.
    #[must_use]
    pub fn from_bytes(bytes: i64) -> Self {
        Self {
            nanos: i128::from(bytes) * NANOS,
            family: Family::BinarySi,
        }
    }

    /// Whether the amount is zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    /// Sum, capped at the range; the family is this one's, or the other's if this is zero.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        let family = if self.nanos == 0 {
            other.family
        } else {
            self.family
        };
        Self {
            nanos: (self.nanos + other.nanos).clamp(-MAX_NANOS, MAX_NANOS),
            family,
        }
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| QuantityError {
            text: text.chars().take(MAX_LENGTH).collect(),
        })
    }
}

/// The canonical form: no fraction, the largest suffix that keeps every digit.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let whole = self.nanos % NANOS == 0;
        let units = self.nanos / NANOS;
        // Small and fractional amounts would be confusing or lossy in powers of 1024.
        if self.family == Family::BinarySi && whole && !(-1023..=1023).contains(&units) {
            let (number, power) = reduce(units, 1024, BINARY.len());
            let suffix = power
                .checked_sub(1)
                .and_then(|at| BINARY.get(at))
                .map_or("", |(suffix, _)| suffix);
            return write!(f, "{number}{suffix}");
        }
        let (number, power) = reduce(self.nanos, 1000, DECIMAL.len() - 1);
        let (suffix, exponent) = DECIMAL.get(power).copied().unwrap_or_default();
        match (self.family, exponent) {
            (Family::DecimalExponent, 0) => write!(f, "{number}"),
            (Family::DecimalExponent, exponent) => write!(f, "{number}e{exponent}"),
            _ => write!(f, "{number}{suffix}"),
        }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl Hash for Quantity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.nanos.hash(state);
    }
}

/// Divides by `base` as often as nothing is lost, at most `limit` times.
fn reduce(mut number: i128, base: i128, limit: usize) -> (i128, usize) {
    let mut power = 0;
    while power < limit && number % base == 0 {
        number /= base;
        power += 1;
    }
    (number, power)
}

fn divide_up(amount: i128, unit: i128) -> i128 {
    let quotient = amount / unit;
    if amount % unit == 0 {
        quotient
    } else {
        quotient + amount.signum()
    }
}

fn parse(text: &str) -> Option<Quantity> {
    if text.len() > MAX_LENGTH {
        return None;
    }
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = unsigned
        .find(|ch: char| !ch.is_ascii_digit() && ch != '.')
        .unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || whole.len() + fraction.len() == 0 {
        return None;
    }
    let mut digits: Vec<u8> = whole
        .bytes()
        .chain(fraction.bytes())
        .map(|digit| digit - b'0')
        .collect();
    let (family, exponent, power) = read_suffix(suffix)?;
    for _ in 0..power {
        multiply(&mut digits, 1024);
    }
    let places = i32::try_from(fraction.len()).ok()?;
    let nanos = shift(&digits, exponent.saturating_add(9).saturating_sub(places));
    Some(Quantity {
        nanos: if negative { -nanos } else { nanos },
        family,
    })
}

/// Family, power of ten and power of 1024 of a suffix.
fn read_suffix(suffix: &str) -> Option<(Family, i32, u32)> {
    if let Some((_, exponent)) = DECIMAL.iter().find(|(known, _)| *known == suffix) {
        return Some((Family::DecimalSi, *exponent, 0));
    }
    if let Some((_, power)) = BINARY.iter().find(|(known, _)| *known == suffix) {
        return Some((Family::BinarySi, 0, *power));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((Family::DecimalExponent, exponent.parse().ok()?, 0))
}

/// Multiplies a big-endian decimal number in place.
fn multiply(digits: &mut Vec<u8>, factor: u32) {
    let mut carry = 0;
    for digit in digits.iter_mut().rev() {
        let product = u32::from(*digit) * factor + carry;
        *digit = (product % 10) as u8;
        carry = product / 10;
    }
    while carry > 0 {
        digits.insert(0, (carry % 10) as u8);
        carry /= 10;
    }
}

/// `digits` × 10^`exponent`, rounded up to an integer and capped at [`MAX_NANOS`].
fn shift(digits: &[u8], exponent: i32) -> i128 {
    let dropped = usize::try_from(exponent.saturating_neg())
        .unwrap_or(0)
        .min(digits.len());
    let (kept, lost) = digits.split_at(digits.len() - dropped);
    let mut number: i128 = 0;
    for digit in kept {
        number = number.saturating_mul(10).saturating_add(i128::from(*digit));
    }
    if lost.iter().any(|digit| *digit > 0) {
        number = number.saturating_add(1);
    }
    let mut left = exponent;
    while left > 0 && number > 0 && number < MAX_NANOS {
        number = number.saturating_mul(10);
        left -= 1;
    }
    number.min(MAX_NANOS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_and_writes_the_canonical_form() {
        // (text, canonical, milli, value)
        let table = [
            ("0", "0", 0, 0),
            ("0Gi", "0", 0, 0),
            ("1", "1", 1000, 1),
            ("500m", "500m", 500, 1),
            ("0.5", "500m", 500, 1),
            ("1.5", "1500m", 1500, 2),
            ("1.5Gi", "1536Mi", 1_610_612_736_000, 1_610_612_736),
            ("1Gi", "1Gi", 1_073_741_824_000, 1_073_741_824),
            ("1024Mi", "1Gi", 1_073_741_824_000, 1_073_741_824),
            ("512", "512", 512_000, 512),
            ("1Ki", "1Ki", 1_024_000, 1024),
            ("0.5Ki", "512", 512_000, 512),
            ("0.0001Ki", "102400u", 103, 1),
            ("1000k", "1M", 1_000_000_000, 1_000_000),
            ("1500k", "1500k", 1_500_000_000, 1_500_000),
            ("1e3", "1e3", 1_000_000, 1000),
            ("1.5e3", "1500", 1_500_000, 1500),
            ("1E2", "100", 100_000, 100),
            ("1e-3", "1e-3", 1, 1),
            (
                "1E",
                "1E",
                1_000_000_000_000_000_000_000,
                1_000_000_000_000_000_000,
            ),
            ("100u", "100u", 1, 1),
            ("1n", "1n", 1, 1),
            ("0.1n", "1n", 1, 1),
            ("-1.5", "-1500m", -1500, -2),
            ("+5", "5", 5000, 5),
            (".5", "500m", 500, 1),
            ("5.", "5", 5000, 5),
            (
                "10Ei",
                "9223372036854775807",
                9_223_372_036_854_775_807_000,
                9_223_372_036_854_775_807,
            ),
            (
                "1e999",
                "9223372036854775807",
                9_223_372_036_854_775_807_000,
                9_223_372_036_854_775_807,
            ),
            ("1e-999", "1e-9", 1, 1),
        ];
        for (text, canonical, milli, value) in table {
            let quantity: Quantity = text.parse().unwrap();
            assert_eq!(quantity.to_string(), canonical, "{text}");
            assert_eq!(quantity.milli(), milli, "{text}");
            assert_eq!(quantity.value(), value, "{text}");
        }
    }

    #[test]
    fn refuses_other_texts_and_names_them() {
        for text in [
            "", "x", "1x", "1 ", " 1", "1.2.3", ".", "-", "1Kib", "1ki", "e3", "1e", "1e+", "1e1.5", "1mm",
            "--1", "1K", "é",
        ] {
            let error = text.parse::<Quantity>().unwrap_err();
            assert!(error.to_string().contains(&format!("{text:?}")), "{text:?}");
        }
        assert!("1".repeat(10_000).parse::<Quantity>().is_err());
    }

    #[test]
    fn compares_by_amount() {
        let quantity = |text: &str| text.parse::<Quantity>().unwrap();
        assert_eq!(quantity("1Ki"), quantity("1024"));
        assert!(quantity("999m") < quantity("1"));
        assert!(quantity("-1") < quantity("0"));
        assert_eq!(quantity("0").saturating_add(quantity("1Gi")).to_string(), "1Gi");
        assert_eq!(Quantity::from_milli(1500).to_string(), "1500m");
        assert_eq!(Quantity::from_bytes(3 << 20).to_string(), "3Mi");
    }

    proptest! {
        #[test]
        fn canonical_form_reads_back(number in "-?[0-9]{1,15}(\\.[0-9]{0,12})?", suffix in "(n|u|m||k|M|G|Ki|Mi|Gi|Ei|e[0-9]|e-[0-9])") {
            let quantity: Quantity = format!("{number}{suffix}").parse().unwrap();
            let text = quantity.to_string();
            let again: Quantity = text.parse().unwrap();
            prop_assert_eq!(again, quantity);
            prop_assert_eq!(again.to_string(), text);
        }

        #[test]
        fn whole_numbers_are_themselves(number in any::<i64>()) {
            prop_assume!(number != i64::MIN);
            let quantity: Quantity = number.to_string().parse().unwrap();
            prop_assert_eq!(quantity.value(), i128::from(number));
        }

        #[test]
        fn never_panics(text in "[0-9.eEinumkKMGTP+-]{0,40}") {
            let _ = text.parse::<Quantity>();
        }
    }
}
