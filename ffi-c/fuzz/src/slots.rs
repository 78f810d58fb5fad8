//! The handles that the program has: a few of each kind.

use core::cell::Cell;

use iscsicore_ffi::command::*;
use iscsicore_ffi::host::config::*;
use iscsicore_ffi::host::*;
use iscsicore_ffi::link::*;
use iscsicore_ffi::nexus::*;
use iscsicore_ffi::simple::*;
use iscsicore_ffi::status::iscsicore_status;
use iscsicore_ffi::target::kept::*;
use iscsicore_ffi::target::*;
use iscsicore_ffi::unit::command::*;
use iscsicore_ffi::unit::*;

use crate::machine::Machine;

pub const SLOTS: usize = 4;

/// Places for handles of one kind; NULL where there is none.
pub struct Slots<H> {
    at: [Cell<*mut H>; SLOTS],
}

impl<H> Default for Slots<H> {
    fn default() -> Self {
        Slots { at: core::array::from_fn(|_| Cell::new(core::ptr::null_mut())) }
    }
}

impl<H> Slots<H> {
    pub fn get(&self, index: usize) -> *mut H {
        self.at[index].get()
    }

    pub fn set(&self, index: usize, handle: *mut H) {
        self.at[index].set(handle);
    }

    pub fn all(&self) -> impl Iterator<Item = *mut H> + '_ {
        self.at.iter().map(Cell::get).filter(|handle| !handle.is_null())
    }

    pub fn empty(&self) -> Option<usize> {
        self.at.iter().position(|slot| slot.get().is_null())
    }

    pub fn index_of(&self, handle: *mut H) -> Option<usize> {
        self.at.iter().position(|slot| slot.get() == handle)
    }
}

/// A kind of handle.
pub trait Kind: Sized {
    fn slots(machine: &Machine) -> &Slots<Self>;
    unsafe fn free(handle: *mut Self) -> iscsicore_status;
}

macro_rules! kinds {
    ($($field:ident: $name:ident, $free:ident;)*) => {
        #[derive(Default)]
        pub struct AllSlots {
            $(pub $field: Slots<$name>,)*
        }
        $(impl Kind for $name {
            fn slots(machine: &Machine) -> &Slots<Self> {
                &machine.slots.$field
            }
            unsafe fn free(handle: *mut Self) -> iscsicore_status {
                unsafe { $free(handle) }
            }
        })*
    };
}

kinds! {
    configs: iscsicore_host_config, iscsicore_host_config_free;
    hosts: iscsicore_host, iscsicore_host_free;
    receivers: iscsicore_receiver, iscsicore_receiver_free;
    transmitters: iscsicore_transmitter, iscsicore_transmitter_free;
    pools: iscsicore_buffer_pool, iscsicore_buffer_pool_free;
    nexuses: iscsicore_nexus, iscsicore_nexus_free;
    commands: iscsicore_command, iscsicore_command_free;
    simples: iscsicore_simple, iscsicore_simple_free;
    units: iscsicore_unit, iscsicore_unit_free;
    disk_commands: iscsicore_disk_command, iscsicore_disk_command_free;
    targets: iscsicore_target, iscsicore_target_free;
    kept: iscsicore_kept_data, iscsicore_kept_data_free;
}
