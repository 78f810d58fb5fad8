//! Which logical unit stands behind which LUN.

use std::collections::BTreeMap;

use super::ConfigError;
use crate::wire::Lun;

/// A logical unit of the adapter: an index that this module hands back as it was given.
///
/// Several LUNs, of several targets too, may name the same unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitId(pub u32);

/// What a LUN allows to be done to its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitAccess {
    /// Everything.
    ReadWrite,
    /// Nothing that changes the medium.
    ReadOnly,
}

/// What a LUN stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappedUnit {
    /// The unit.
    pub unit: UnitId,
    /// What may be done to it.
    pub access: UnitAccess,
}

/// LUNs in ascending order and the units behind them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LunMap(BTreeMap<u16, MappedUnit>);

impl LunMap {
    /// A map without LUNs.
    pub const fn new() -> Self {
        LunMap(BTreeMap::new())
    }

    /// Puts a unit behind LUN `number`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::LunRange`] above 16383, [`ConfigError::DuplicateLun`] when the number is taken; the map is
    /// then as it was.
    pub fn insert(&mut self, number: u16, unit: UnitId, access: UnitAccess) -> Result<(), ConfigError> {
        if Lun::from_number(number).is_none() {
            return Err(ConfigError::LunRange(number));
        }
        if self.0.contains_key(&number) {
            return Err(ConfigError::DuplicateLun(number));
        }
        self.0.insert(number, MappedUnit { unit, access });
        Ok(())
    }

    /// What stands behind `lun`, in whichever single-level encoding it came.
    pub fn get(&self, lun: Lun) -> Option<MappedUnit> {
        self.0.get(&lun.number()?).copied()
    }

    /// The LUNs and their units, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (Lun, MappedUnit)> + '_ {
        self.0.iter().filter_map(|(&number, &mapped)| Some((Lun::from_number(number)?, mapped)))
    }

    /// The number of LUNs.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no LUN.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_unit_in_both_encodings_of_its_lun() {
        let mut map = LunMap::new();
        map.insert(5, UnitId(1), UnitAccess::ReadOnly).unwrap();
        map.insert(300, UnitId(1), UnitAccess::ReadWrite).unwrap();
        let five = MappedUnit { unit: UnitId(1), access: UnitAccess::ReadOnly };
        assert_eq!(map.get(Lun(0x0005 << 48)), Some(five));
        assert_eq!(map.get(Lun(0x4005 << 48)), Some(five));
        assert_eq!(map.get(Lun(0x412c << 48)).map(|m| m.access), Some(UnitAccess::ReadWrite));
        assert_eq!(map.get(Lun(0x0005 << 48 | 1)), None);
        assert_eq!(map.get(Lun(0)), None);
        let luns: Vec<_> = map.iter().map(|(lun, _)| lun.number()).collect();
        assert_eq!(luns, [Some(5), Some(300)]);
    }

    #[test]
    fn refuses_numbers_out_of_range_and_numbers_twice() {
        let mut map = LunMap::new();
        assert!(map.insert(0x3fff, UnitId(0), UnitAccess::ReadWrite).is_ok());
        assert_eq!(map.insert(0x4000, UnitId(0), UnitAccess::ReadWrite), Err(ConfigError::LunRange(0x4000)));
        assert_eq!(
            map.insert(0x3fff, UnitId(1), UnitAccess::ReadOnly),
            Err(ConfigError::DuplicateLun(0x3fff))
        );
        assert_eq!(map.iter().map(|(_, m)| m.unit).collect::<Vec<_>>(), [UnitId(0)]);
    }
}
