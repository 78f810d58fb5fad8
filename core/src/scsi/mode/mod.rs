//! Mode pages and mode parameter headers, SPC-4 clause 7.5 and SBC-3 clause 6.5.

mod decode;

pub use decode::{BlockDescriptor, CachingPage, ControlPage, ModeData, PageView};

/// Read-Write Error Recovery.
pub const READ_WRITE_ERROR_RECOVERY: u8 = 0x01;
/// Disconnect-Reconnect.
pub const DISCONNECT_RECONNECT: u8 = 0x02;
/// Caching.
pub const CACHING: u8 = 0x08;
/// Control.
pub const CONTROL: u8 = 0x0a;
/// Informational Exceptions Control.
pub const INFORMATIONAL_EXCEPTIONS_CONTROL: u8 = 0x1c;
/// All pages, in a MODE SENSE CDB.
pub const ALL_PAGES: u8 = 0x3f;
/// All subpages, in a MODE SENSE CDB.
pub const ALL_SUBPAGES: u8 = 0xff;

/// The pages that there are, in the order in which MODE SENSE returns them.
pub const PAGES: [u8; 5] =
    [READ_WRITE_ERROR_RECOVERY, DISCONNECT_RECONNECT, CACHING, CONTROL, INFORMATIONAL_EXCEPTIONS_CONTROL];

/// What MODE SELECT can change. Everything else in the pages is constant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Modes {
    /// WCE of the Caching page: GOOD may come before the medium has the data.
    pub write_cache: bool,
    /// D_SENSE of the Control page: sense data in descriptor format.
    pub descriptor_sense: bool,
    /// SWP of the Control page: software write protect.
    pub software_write_protect: bool,
}

impl Modes {
    /// The page `code` with these values, header included; `None` when there is no such page.
    pub fn page(&self, code: u8) -> Option<ModePage> {
        let mut page = match code {
            READ_WRITE_ERROR_RECOVERY => ModePage::new(code, 0x0a),
            DISCONNECT_RECONNECT => ModePage::new(code, 0x0e),
            CACHING => ModePage::new(code, 0x12),
            CONTROL => ModePage::new(code, 0x0a),
            INFORMATIONAL_EXCEPTIONS_CONTROL => ModePage::new(code, 0x0a),
            _ => return None,
        };
        let bytes = &mut page.bytes;
        match code {
            CACHING => bytes[2] = bit(self.write_cache, 2),
            CONTROL => {
                bytes[2] = 0x02 | bit(self.descriptor_sense, 2); // GLTSD: no log parameters are saved
                bytes[3] = 0x10; // QUEUE ALGORITHM MODIFIER: unrestricted reordering
                bytes[4] = bit(self.software_write_protect, 3);
            }
            INFORMATIONAL_EXCEPTIONS_CONTROL => bytes[2] = 0x08, // DEXCPT: there are none
            _ => {}
        }
        Some(page)
    }

    /// The page `code` with a one in every bit that MODE SELECT can change.
    pub fn changeable(code: u8) -> Option<ModePage> {
        let none = Modes::default().page(code)?;
        let all = Modes { write_cache: true, descriptor_sense: true, software_write_protect: true };
        let mut mask = all.page(code)?;
        for (byte, constant) in mask.bytes.iter_mut().zip(none.bytes).skip(2) {
            *byte ^= constant;
        }
        Some(mask)
    }

    /// These values with those taken over that `page`, a page of known code and length, sets.
    #[must_use]
    pub fn with_page(mut self, page: &[u8]) -> Self {
        let set = |at: usize, bit: u8| page.get(at).is_some_and(|byte| byte >> bit & 1 == 1);
        match page.first().map(|code| code & 0x3f) {
            Some(CACHING) => self.write_cache = set(2, 2),
            Some(CONTROL) => {
                self.descriptor_sense = set(2, 2);
                self.software_write_protect = set(4, 3);
            }
            _ => {}
        }
        self
    }
}

/// One mode page in page_0 format, header included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ModePage {
    bytes: [u8; 20],
    len: u8,
}

impl ModePage {
    fn new(code: u8, page_length: u8) -> Self {
        let mut bytes = [0; 20];
        bytes[0] = code;
        bytes[1] = page_length;
        ModePage { bytes, len: 2 + page_length }
    }

    /// The bytes of the page.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len).min(self.bytes.len())]
    }
}

const fn bit(set: bool, at: u8) -> u8 {
    (set as u8) << at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_bytes() {
        let modes = Modes { write_cache: true, descriptor_sense: true, software_write_protect: true };
        let cases: [(u8, &[u8], &[u8]); 5] = [
            (0x01, &[0x01, 0x0a], &[0x01, 0x0a]),
            (0x02, &[0x02, 0x0e], &[0x02, 0x0e]),
            (0x08, &[0x08, 0x12, 0x04], &[0x08, 0x12, 0x04]),
            (0x0a, &[0x0a, 0x0a, 0x06, 0x10, 0x08], &[0x0a, 0x0a, 0x04, 0x00, 0x08]),
            (0x1c, &[0x1c, 0x0a, 0x08], &[0x1c, 0x0a]),
        ];
        for (code, current, changeable) in cases {
            for (got, want) in [(modes.page(code), current), (Modes::changeable(code), changeable)] {
                let got = got.unwrap();
                let mut want = want.to_vec();
                want.resize(2 + usize::from(want[1]), 0);
                assert_eq!(got.as_bytes(), want, "page {code:02x}");
            }
        }
        assert_eq!(modes.page(0x03), None);
    }

    #[test]
    fn what_a_page_says_is_taken_over() {
        for bits in 0..8u8 {
            let modes = Modes {
                write_cache: bits & 1 != 0,
                descriptor_sense: bits & 2 != 0,
                software_write_protect: bits & 4 != 0,
            };
            let got = PAGES
                .iter()
                .fold(Modes::default(), |m, &code| m.with_page(modes.page(code).unwrap().as_bytes()));
            assert_eq!(got, modes);
        }
    }
}
