//! Additional header segments, RFC 7143 section 11.2.2.

use core::iter::FusedIterator;

use crate::FrameError;

/// One additional header segment of a SCSI Command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AdditionalHeader<'a> {
    /// The bytes of a CDB beyond the sixteenth: 1 to 244 of them (SPC-4 ends a CDB at 260).
    ExtendedCdb(&'a [u8]),
    /// How many bytes the initiator expects to read in a bidirectional command.
    BidiReadLen(u32),
    /// A segment of a type that the RFC reserves. The first byte of `data` stands beside the type.
    Unknown {
        /// AHSType, six bits.
        kind: u8,
        /// What AHSLength covers.
        data: &'a [u8],
    },
}

impl AdditionalHeader<'_> {
    /// Appends the segment, padded with zeroes to a multiple of four bytes.
    ///
    /// Of a CDB no more than 244 bytes are written, of an unknown segment no more than 65535.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let start = out.len();
        match *self {
            AdditionalHeader::ExtendedCdb(cdb) => {
                let cdb = cdb.get(..MAX_EXTENDED_CDB).unwrap_or(cdb);
                put_head(out, cdb.len() as u16 + 1, EXTENDED_CDB);
                out.push(0);
                out.extend_from_slice(cdb);
            }
            AdditionalHeader::BidiReadLen(len) => {
                put_head(out, BIDI_READ_AHS_LENGTH, BIDI_READ_LEN);
                out.push(0);
                out.extend_from_slice(&len.to_be_bytes());
            }
            AdditionalHeader::Unknown { kind, data } => {
                let data = data.get(..usize::from(u16::MAX)).unwrap_or(data);
                put_head(out, data.len() as u16, kind & TYPE);
                out.extend_from_slice(data);
            }
        }
        out.resize(start + (out.len() - start).next_multiple_of(4), 0);
    }
}

/// The additional header segments in the `ahs` bytes that followed a basic header.
///
/// The iterator ends after the first error, and always after at most a quarter of `ahs.len()` items.
pub fn additional_headers(ahs: &[u8]) -> AdditionalHeaders<'_> {
    AdditionalHeaders { rest: ahs }
}

/// Iterator over additional header segments; see [`additional_headers`].
#[derive(Clone, Debug)]
pub struct AdditionalHeaders<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for AdditionalHeaders<'a> {
    type Item = Result<AdditionalHeader<'a>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match split_first(self.rest) {
            Ok((header, rest)) => {
                self.rest = rest;
                Some(Ok(header))
            }
            Err(problem) => {
                self.rest = &[];
                Some(Err(FrameError::MalformedAhs(problem)))
            }
        }
    }
}

impl FusedIterator for AdditionalHeaders<'_> {}

fn put_head(out: &mut Vec<u8>, len: u16, kind: u8) {
    out.extend_from_slice(&len.to_be_bytes());
    out.push(kind);
}

fn split_first(ahs: &[u8]) -> Result<(AdditionalHeader<'_>, &[u8]), &'static str> {
    let (&[high, low, kind], body) = ahs.split_first_chunk::<3>().ok_or("shorter than its own header")?;
    let len = usize::from(u16::from_be_bytes([high, low]));
    let data = body.get(..len).ok_or("AHSLength exceeds TotalAHSLength")?;
    let rest = ahs.get((3 + len).next_multiple_of(4)..).ok_or("no room for its padding")?;
    Ok((classify(kind & TYPE, data)?, rest))
}

fn classify(kind: u8, data: &[u8]) -> Result<AdditionalHeader<'_>, &'static str> {
    match (kind, data) {
        (EXTENDED_CDB, [_reserved, cdb @ ..]) if !cdb.is_empty() => match cdb.len() {
            ..=MAX_EXTENDED_CDB => Ok(AdditionalHeader::ExtendedCdb(cdb)),
            _ => Err("an extended CDB of more than 260 bytes"),
        },
        (EXTENDED_CDB, _) => Err("an extended CDB of less than 17 bytes"),
        (BIDI_READ_LEN, &[_reserved, a, b, c, d]) => {
            Ok(AdditionalHeader::BidiReadLen(u32::from_be_bytes([a, b, c, d])))
        }
        (BIDI_READ_LEN, _) => Err("a Bidirectional Read Length whose AHSLength is not 5"),
        _ => Ok(AdditionalHeader::Unknown { kind, data }),
    }
}

const TYPE: u8 = 0x3f;
const EXTENDED_CDB: u8 = 1;
const BIDI_READ_LEN: u8 = 2;
const BIDI_READ_AHS_LENGTH: u16 = 5;
const MAX_EXTENDED_CDB: usize = 260 - 16;

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: [(AdditionalHeader<'static>, &[u8]); 4] = [
        // A CDB of 17 bytes: the AHSLength is CDBLength - 15.
        (AdditionalHeader::ExtendedCdb(&[0xaa]), &[0, 2, 1, 0, 0xaa, 0, 0, 0]),
        (
            AdditionalHeader::ExtendedCdb(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]),
            &[0, 17, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
        ),
        (AdditionalHeader::BidiReadLen(0x0102_0304), &[0, 5, 2, 0, 1, 2, 3, 4]),
        (AdditionalHeader::Unknown { kind: 0x3f, data: &[7, 8] }, &[0, 2, 0x3f, 7, 8, 0, 0, 0]),
    ];

    fn one(ahs: &[u8]) -> Result<AdditionalHeader<'_>, FrameError> {
        let mut headers = additional_headers(ahs);
        let first = headers.next().expect("one segment");
        assert_eq!(headers.next(), None);
        first
    }

    #[test]
    fn segments_match_their_bytes_both_ways() {
        let mut all = Vec::new();
        for (header, bytes) in GOLDEN {
            let mut out = Vec::new();
            header.emit(&mut out);
            assert_eq!(out, bytes, "{header:?}");
            assert_eq!(one(bytes), Ok(header));
            header.emit(&mut all);
        }
        let together: Vec<_> = additional_headers(&all).map(Result::unwrap).collect();
        assert_eq!(together, GOLDEN.map(|(header, _)| header));
    }

    #[test]
    fn reserved_bits_and_padding_are_ignored() {
        assert_eq!(one(&[0, 2, 0xc1, 0xff, 0xaa, 9, 9, 9]), Ok(AdditionalHeader::ExtendedCdb(&[0xaa])));
        assert_eq!(one(&[0, 5, 0x82, 0xff, 0, 0, 0, 1]), Ok(AdditionalHeader::BidiReadLen(1)));
    }

    // covers: 7143-11.2.2.3-1
    #[test]
    fn a_length_that_does_not_fit_is_an_error() {
        for (bytes, problem) in [
            (&[0u8, 1][..], "shorter than its own header"),
            (&[0, 1, 1, 0], "an extended CDB of less than 17 bytes"),
            (&[0, 0, 1, 0], "an extended CDB of less than 17 bytes"),
            (&[0, 6, 1, 0, 1, 2, 3, 4], "AHSLength exceeds TotalAHSLength"),
            (&[0xff, 0xff, 1, 0, 1, 2, 3, 4], "AHSLength exceeds TotalAHSLength"),
            (&[0, 2, 1, 0, 1], "no room for its padding"),
            (&[0, 4, 2, 0, 1, 2, 3, 4], "a Bidirectional Read Length whose AHSLength is not 5"),
            (&[0, 6, 2, 0, 1, 2, 3, 4, 5, 0, 0, 0], "a Bidirectional Read Length whose AHSLength is not 5"),
        ] {
            assert_eq!(one(bytes), Err(FrameError::MalformedAhs(problem)), "{bytes:?}");
        }
    }

    #[test]
    fn the_longest_cdb_passes_and_one_byte_more_does_not() {
        let cdb = [0x55; MAX_EXTENDED_CDB + 1];
        let mut out = Vec::new();
        AdditionalHeader::ExtendedCdb(&cdb).emit(&mut out);
        assert_eq!(one(&out), Ok(AdditionalHeader::ExtendedCdb(&cdb[1..])));
        let mut long = vec![0, 246, 1, 0];
        long.extend_from_slice(&cdb);
        long.resize(long.len().next_multiple_of(4), 0);
        assert_eq!(one(&long), Err(FrameError::MalformedAhs("an extended CDB of more than 260 bytes")));
    }

    #[test]
    fn every_cut_gives_an_error_or_fewer_segments() {
        let mut all = Vec::new();
        GOLDEN.iter().for_each(|(header, _)| header.emit(&mut all));
        for end in 0..all.len() {
            let seen: Vec<_> = additional_headers(&all[..end]).collect();
            assert!(seen.len() <= GOLDEN.len());
            let at_boundary = [0, 8, 28, 36].contains(&end);
            assert_eq!(seen.iter().all(Result::is_ok), at_boundary, "cut at {end}: {seen:?}");
        }
    }
}
