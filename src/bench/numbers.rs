//! Numbers between integers, floats and text, without lossy casts and without the cost of `fmt`.
//!
//! Must not allocate: these functions run once per alert.

use std::time::Duration;

/// The most digits of a `u64`.
const DIGITS_MAX: usize = 20;

/// An integer as decimal digits on the stack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Digits {
    bytes: [u8; DIGITS_MAX],
    start: usize,
}

impl Digits {
    /// Writes `value` with at least `width` digits, zeros in front.
    pub(super) fn padded(value: u64, width: usize) -> Self {
        let mut bytes = [b'0'; DIGITS_MAX];
        let mut rest = value;
        let mut start = DIGITS_MAX;
        for (at, byte) in bytes.iter_mut().enumerate().rev() {
            if rest == 0 && DIGITS_MAX - at > width.max(1) {
                break;
            }
            *byte = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
            start = at;
        }
        Self { bytes, start }
    }

    /// Writes `value` without zeros in front.
    pub(super) fn of(value: u64) -> Self {
        Self::padded(value, 1)
    }

    /// The digits as ASCII.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

/// The 16 lower-case hex digits of `value`.
pub(super) fn hex(value: u64) -> [u8; 16] {
    let mut text = [b'0'; 16];
    let mut rest = value;
    for digit in text.iter_mut().rev() {
        let nibble = u8::try_from(rest & 15).unwrap_or(0);
        *digit = if nibble < 10 {
            b'0' + nibble
        } else {
            b'a' + nibble - 10
        };
        rest >>= 4;
    }
    text
}

/// The nearest float; exact below 2^53.
pub(super) fn float(value: u64) -> f64 {
    let high = u32::try_from(value >> 32).unwrap_or(u32::MAX);
    let low = u32::try_from(value & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}

/// Whole microseconds, at most `u64::MAX`.
pub(super) fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}

/// The middle of `values`, the mean of the two middle ones if their count is even; `None` without values.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get(values.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_standard_library() {
        for value in [0, 1, 9, 10, 99, 12_345, u64::MAX] {
            assert_eq!(Digits::of(value).as_bytes(), value.to_string().as_bytes());
            assert_eq!(
                Digits::padded(value, 7).as_bytes(),
                format!("{value:07}").as_bytes()
            );
            assert_eq!(hex(value).as_slice(), format!("{value:016x}").as_bytes());
        }
    }

    #[test]
    fn median_takes_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert!((float(1 << 40) - 1_099_511_627_776.0).abs() < f64::EPSILON);
    }
}
