//! A large body compressed in pieces while it is written, so that it is never in memory as a whole but packed.
//!
//! It begins with a mark where other packed bodies have their length, which is never as large. Each piece has its length,
//! that of its packed bytes, and these. Must not know what a body says.

use std::io;

/// Stands where a body in one piece has its length.
const MARK: [u8; 4] = u32::MAX.to_le_bytes();
/// Bytes of a piece.
const PIECE: usize = 256 * 1024;

/// Takes bytes and packs them piece by piece.
#[derive(Debug)]
pub(super) struct Writer {
    piece: Vec<u8>,
    packed: Vec<u8>,
    written: usize,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            piece: Vec::with_capacity(PIECE),
            packed: MARK.to_vec(),
            written: 0,
        }
    }
}

impl Writer {
    /// How many bytes came.
    pub(super) fn written(&self) -> usize {
        self.written
    }

    /// The packed bytes.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.pack();
        self.packed.shrink_to_fit();
        self.packed
    }

    fn pack(&mut self) {
        if self.piece.is_empty() {
            return;
        }
        let packed = lz4_flex::block::compress(&self.piece);
        for length in [self.piece.len(), packed.len()] {
            // A piece is far smaller.
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            self.packed.extend_from_slice(&length.to_le_bytes());
        }
        self.packed.extend_from_slice(&packed);
        self.piece.clear();
    }
}

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE.saturating_sub(self.piece.len());
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.piece.extend_from_slice(taken);
        self.written = self.written.saturating_add(taken.len());
        if self.piece.len() >= PIECE {
            self.pack();
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether packed bytes are in pieces.
pub(super) fn is_so(bytes: &[u8]) -> bool {
    bytes.starts_with(&MARK)
}

/// The bytes as they came.
pub(super) fn open(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    let mut rest = bytes.strip_prefix(&MARK).unwrap_or_default();
    while !rest.is_empty() {
        let (length, after) = number(rest)?;
        let (packed, after) = number(after)?;
        let (piece, after) = after.split_at_checked(packed).ok_or("a piece is cut off")?;
        if length > PIECE {
            return Err("a piece is larger than any is written".to_owned());
        }
        let piece = lz4_flex::block::decompress(piece, length);
        body.extend_from_slice(&piece.map_err(|error| error.to_string())?);
        rest = after;
    }
    Ok(body)
}

fn number(bytes: &[u8]) -> Result<(usize, &[u8]), String> {
    let (number, rest) = bytes.split_first_chunk().ok_or("a piece is cut off")?;
    let number = usize::try_from(u32::from_le_bytes(*number)).unwrap_or(usize::MAX);
    Ok((number, rest))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_what_is_cut_off_is_an_error() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE * 2 + 7] {
            let body: Vec<u8> = (0..length)
                .map(|at| u8::try_from(at % 251).unwrap())
                .collect();
            let mut writer = Writer::default();
            writer.write_all(&body).unwrap();
            assert_eq!(writer.written(), length);
            let packed = writer.finish();
            assert!(is_so(&packed));
            assert_eq!(open(&packed).unwrap(), body);
            if length > 0 {
                assert!(open(&packed[..packed.len() - 1]).is_err());
            }
        }
    }
}
