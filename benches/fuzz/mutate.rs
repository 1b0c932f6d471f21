//! Changes of inputs: bits, pieces, words that parsers stumble over, and halves of two inputs.
//!
//! Must not know a format.

/// Bytes of an input.
pub(crate) const BYTES_MAX: usize = 64 * 1024;

/// What parsers stumble over.
const WORDS: &[&[u8]] = &[
    b"null",
    b"true",
    b"[]",
    b"{}",
    b"[[[[[[[[[[[[[[[[",
    b"{\"a\":{\"a\":{\"a\":{\"a\":",
    b"\"\"",
    b"-1",
    b"1e999",
    b"9223372036854775808",
    b"-9223372036854775809",
    b"18446744073709551616",
    b"0.0000000000000000000001",
    b"\\ud800",
    b"\\u0000",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xc3\xa9",
    b"\xf0\x9f\x94\xa5",
    b"\0",
    b"\r\n",
    b"\n\n",
    b"%",
    b"%zz",
    b"+",
    b"#",
    b"/",
    b"//",
    b"*",
    b"(",
    b"(a*)*",
    b"=~\"",
    b"{{",
    b"}}",
    b"{%",
    b"&a",
    b"*a",
    b"<!DOCTYPE a [<!ENTITY b \"c\">]>",
    b"&#0;",
    b"0001-01-01T00:00:00Z",
    b"9999-12-31T23:59:60+23:59",
    b"1970-01-01T00:00:00.999999999999Z",
    b"status",
    b"resolved",
    b"labels",
    b",",
    b":",
    b"\"",
];

/// Numbers by a seed (`SplitMix64`).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`; zero when that is zero.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.roll() % end).unwrap_or_default()
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(self.below(all.len()))
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.roll() & 0xff).unwrap_or_default()
    }
}

/// One of the inputs, changed up to eight times.
pub(crate) fn changed(corpus: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut input = dice.of(corpus).cloned().unwrap_or_default();
    for _ in 0..=dice.below(8) {
        let other = dice.of(corpus).cloned().unwrap_or_default();
        change(&mut input, &other, dice);
    }
    input.truncate(BYTES_MAX);
    input
}

/// A piece of an input, mostly a short one.
fn piece(input: &[u8], dice: &mut Dice) -> std::ops::Range<usize> {
    let start = dice.below(input.len() + 1);
    let most = if dice.below(4) == 0 { input.len() } else { 16 };
    let end = start.saturating_add(dice.below(most + 1)).min(input.len());
    start..end
}

fn change(input: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    let place = dice.below(input.len() + 1);
    match dice.below(9) {
        0 => {
            let bit = 1 << dice.below(8);
            if let Some(byte) = input.get_mut(place) {
                *byte ^= bit;
            }
        }
        1 => {
            let byte = dice.byte();
            input.insert(place, byte);
        }
        2 => input.truncate(place),
        3 => {
            let gone = piece(input, dice);
            input.drain(gone);
        }
        4 => {
            let twice = piece(input, dice);
            let twice = input.get(twice).unwrap_or_default().to_vec();
            let times = 1 + dice.below(4) * dice.below(4);
            input.splice(place..place, twice.repeat(times));
        }
        5 => {
            let word = dice.of(WORDS).copied().unwrap_or_default();
            input.splice(place..place, word.iter().copied());
        }
        6 => {
            let word = dice.of(WORDS).copied().unwrap_or_default();
            let gone = piece(input, dice);
            input.splice(gone, word.iter().copied());
        }
        7 => {
            let taken = piece(other, dice);
            let taken = other.get(taken).unwrap_or_default();
            input.splice(place..place, taken.iter().copied());
        }
        _ => {
            let tail = other.get(dice.below(other.len())..).unwrap_or_default();
            input.truncate(place);
            input.extend_from_slice(tail);
        }
    }
    input.truncate(BYTES_MAX);
}
