//! Whether a decimal equals the `f64` that it is read as.
//!
//! A decimal `m * 10^e` with an integer `m` equals a binary number exactly if `m * 10^e = q * 2^k` with `|q| < 2^53`.
//! Proofs about a formula need to know this: `0.5` is itself, `0.1` is not.

/// Reads a decimal such as `12`, `1.5`, `2.5e-3` (underscores allowed, as in TOML): its nearest `f64`, and whether the
/// decimal differs from it. `None` if the text is not a decimal or overflows.
pub fn read_decimal(text: &str) -> Option<(f64, bool)> {
    let plain: String;
    let text = if text.contains('_') {
        plain = text.replace('_', "");
        plain.as_str()
    } else {
        text
    };
    if !text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-')) {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    value.is_finite().then(|| (value, !is_exact(text)))
}

/// Whether `m * 10^e` is a binary number of 53 bits. A decimal of more than 19 significant digits counts as inexact,
/// which is on the safe side.
fn is_exact(text: &str) -> bool {
    let Some((digits, exponent)) = split(text) else { return false };
    if digits == 0 {
        return true;
    }
    const LARGEST_POWER: u32 = 27; // 5^27 < 2^64 < 5^28
    let power = exponent.unsigned_abs();
    if power > LARGEST_POWER {
        return false;
    }
    let five = 5_u64.pow(power);
    let odd = if exponent >= 0 {
        u128::from(digits) * u128::from(five)
    } else if digits % five == 0 {
        u128::from(digits / five)
    } else {
        return false;
    };
    (odd >> odd.trailing_zeros()) < (1 << 53)
}

/// The significant digits as an integer without trailing zeros, and the power of ten; `None` if there are too many.
fn split(text: &str) -> Option<(u64, i32)> {
    let text = text.trim_start_matches(['+', '-']);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (mut digits, mut pending, mut seen) = (0_u64, 0_u32, 0_i32);
    for digit in whole.bytes().chain(fraction.bytes()) {
        seen = seen.checked_add(1)?;
        let digit = u64::from(digit - b'0');
        if digit == 0 {
            pending += 1;
            continue;
        }
        if digits == 0 {
            pending = 0;
        }
        digits = 10_u64.checked_pow(pending + 1).and_then(|p| digits.checked_mul(p))?.checked_add(digit)?;
        pending = 0;
    }
    let fraction_digits = seen.checked_sub(i32::try_from(whole.len()).ok()?)?;
    let trailing = if digits == 0 { 0 } else { i32::try_from(pending).ok()? };
    Some((digits, exponent.checked_sub(fraction_digits)?.checked_add(trailing)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The naive twin: print the `f64` with all of its digits and compare them with the text.
    fn exact_by_printing(text: &str, value: f64) -> bool {
        let normal = |s: &str| {
            let (mantissa, exponent) = s.split_once('e').unwrap_or((s, "0"));
            let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
            let all = format!("{whole}{fraction}");
            let e = exponent.parse::<i64>().unwrap() - fraction.len() as i64;
            let stripped = all.trim_end_matches('0');
            let e = e + (all.len() - stripped.len()) as i64;
            let stripped = stripped.trim_start_matches('0').to_string();
            if stripped.is_empty() { (stripped, 0) } else { (stripped, e) }
        };
        normal(&format!("{value:.1100}")) == normal(text)
    }

    #[test]
    fn known_decimals() {
        for exact in
            ["0", "0.0", "1", "0.5", "1.5", "1e3", "1e22", "2.5e-1", "9007199254740992", "1_000", "00.50", "3."]
        {
            assert_eq!(read_decimal(exact).map(|d| d.1), Some(false), "{exact}");
        }
        for rounded in ["0.1", "1e-3", "1e23", "9007199254740993", "3.14", "1e-400", "0.30000000000000004"] {
            assert_eq!(read_decimal(rounded).map(|d| d.1), Some(true), "{rounded}");
        }
        for bad in ["", "e", "1e999", "inf", "nan", "0x10", "1e", "--1"] {
            assert_eq!(read_decimal(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_printing(m in 0_u64..10_000_000_000_000_000, point in 0_usize..12, e in -12_i32..24) {
            let digits = format!("{m:013}");
            let at = digits.len() - point.min(digits.len());
            let text = format!("{}.{}e{e}", &digits[..at], &digits[at..]);
            let text = if at == 0 { format!("0{text}") } else { text };
            let (value, rounded) = read_decimal(&text).unwrap();
            prop_assert_eq!(!rounded, exact_by_printing(&text, value), "{}", text);
        }

        #[test]
        fn halves_are_exact(m in 0_u64..(1 << 30), k in 0_u32..10) {
            let value = m as f64 / f64::from(1 << k);
            prop_assert_eq!(read_decimal(&format!("{value:.9}")), Some((value, false)));
        }
    }
}
