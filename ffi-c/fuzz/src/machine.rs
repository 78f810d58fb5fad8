//! The state of a program that uses the library, and the checks after each of its calls.

use core::cell::{Cell, RefCell};
use core::ffi::c_char;

use iscsicore_ffi::command::iscsicore_command;
use iscsicore_ffi::link::iscsicore_transmitter_queued;
use iscsicore_ffi::nexus::iscsicore_nexus;
use iscsicore_ffi::simple::{iscsicore_simple, iscsicore_simple_nexus};
use iscsicore_ffi::status::{iscsicore_error_message, iscsicore_status};

use crate::input::Input;
use crate::loans::Loans;
use crate::memory::Memory;
use crate::shown::{self, Shelf};
use crate::slots::{AllSlots, Kind, SLOTS, Slots};
use crate::wire::Wire;

thread_local! {
    static CURRENT: Cell<*const Machine> = const { Cell::new(core::ptr::null()) };
}

/// Calls `with` with the machine that runs, for callbacks.
pub fn with_current(with: impl FnOnce(&Machine)) {
    let machine = CURRENT.get();
    assert!(!machine.is_null(), "a callback came after the end");
    with(unsafe { &*machine });
}

/// Everything is in cells: a callback uses the machine while a call of it is under way.
pub struct Machine {
    pub input: Input,
    pub memory: Memory,
    pub loans: Loans,
    pub slots: AllSlots,
    pub shelf: Shelf,
    pub wires: RefCell<Vec<Wire>>,
    /// The nexuses inside of the simple connections, by their slots.
    pub inner: Slots<iscsicore_nexus>,
    /// Numbers that the library gave: links, tasks, jobs, requests.
    ids: RefCell<Vec<u64>>,
    /// Buffers of commands by command, and of tasks by nexus and task: gone when the task has ended.
    pub buffers: RefCell<Vec<Buffer>>,
    clock: Cell<u64>,
    callbacks: Cell<u32>,
    /// Whether ISCSICORE_STATUS_BUSY is right: the same handle stands in two places of a call.
    pub twice: Cell<bool>,
}

/// Memory that a command reads into.
pub struct Buffer {
    pub owner: Owner,
    pub memory: Box<[u8]>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Command(*mut iscsicore_command),
    Task(*mut iscsicore_nexus, u64),
}

impl Machine {
    pub fn new(bytes: &[u8]) -> Self {
        Machine {
            input: Input::new(bytes),
            memory: Memory::default(),
            loans: Loans::default(),
            slots: AllSlots::default(),
            shelf: Shelf::default(),
            wires: RefCell::default(),
            inner: Slots::default(),
            ids: RefCell::default(),
            buffers: RefCell::default(),
            clock: Cell::new(1_000_000_000),
            callbacks: Cell::new(0),
            twice: Cell::new(false),
        }
    }

    pub fn enter(&self) {
        CURRENT.set(self);
    }

    /// What every call is held to; true when it has succeeded.
    pub fn check(&self, status: iscsicore_status) -> bool {
        use iscsicore_status as S;
        if status == S::Ok {
            return true;
        }
        let words = unsafe { shown::text(iscsicore_error_message()) };
        assert!(words != 1, "{status:?} without a word");
        assert!(status != S::Panicked, "a panic");
        let may_be_busy = self.callbacks.get() > 0 || self.twice.get();
        assert!(status != S::Busy || may_be_busy, "a handle that is not in use is busy");
        false
    }

    /// A handle of a kind, mostly one that there is; now and then NULL.
    pub fn any<H: Kind>(&self) -> *mut H {
        let byte = self.input.byte();
        let there: Vec<_> = H::slots(self).all().collect();
        if byte == 255 || there.is_empty() {
            return core::ptr::null_mut();
        }
        there[usize::from(byte) % there.len()]
    }

    /// A nexus, also one of a simple connection.
    pub fn nexus(&self) -> *mut iscsicore_nexus {
        let byte = self.input.byte();
        let there: Vec<_> = self.slots.nexuses.all().chain(self.inner.all()).collect();
        if byte == 255 || there.is_empty() {
            return core::ptr::null_mut();
        }
        there[usize::from(byte) % there.len()]
    }

    /// Makes a handle and keeps it, in place of another one when all places are taken.
    pub fn create<H: Kind>(&self, call: impl FnOnce(*mut *mut H) -> iscsicore_status) -> *mut H {
        let slots = H::slots(self);
        let index = slots.empty().unwrap_or_else(|| self.input.below(SLOTS));
        self.free(slots.get(index));
        if !slots.get(index).is_null() {
            return core::ptr::null_mut();
        }
        if self.input.byte() == 255 {
            assert!(!self.check(call(core::ptr::null_mut())), "a handle for nobody");
            return core::ptr::null_mut();
        }
        let place = self.memory.list(&[core::ptr::without_provenance_mut::<H>(1)]);
        let made = self.check(call(place));
        let handle = unsafe { place.read() };
        // Some arguments are looked at before the place.
        let untouched = handle == core::ptr::without_provenance_mut(1);
        assert!(made != (handle.is_null() || untouched), "a status that does not fit the handle");
        if made {
            slots.set(index, handle);
            return handle;
        }
        core::ptr::null_mut()
    }

    /// Frees a handle, which the library may refuse.
    pub fn free<H: Kind>(&self, handle: *mut H) {
        let address = handle.cast::<()>();
        self.shelf.retire(address);
        let simple = self.slots.simples.index_of(address.cast());
        let inner = simple.filter(|_| !address.is_null()).map(|index| {
            let nexus = self.inner.get(index);
            self.shelf.retire(nexus.cast());
            self.inner.set(index, core::ptr::null_mut());
            (index, nexus)
        });
        let freed = self.check(unsafe { H::free(handle) });
        if handle.is_null() {
            assert!(freed, "NULL is taken");
            return;
        }
        let slots = H::slots(self);
        match (freed, slots.index_of(handle)) {
            (true, Some(index)) => slots.set(index, core::ptr::null_mut()),
            (true, None) => unreachable!("a handle that nobody has"),
            (false, _) => {
                if let Some((index, nexus)) = inner {
                    self.inner.set(index, nexus);
                }
                return;
            }
        }
        let nexus = inner.map_or(address, |(_, nexus)| nexus.cast());
        self.drop_buffers(|owner| match owner {
            Owner::Command(command) => command.cast() == address,
            Owner::Task(of, _) => of.cast() == nexus,
        });
    }

    pub fn drop_buffers(&self, which: impl Fn(Owner) -> bool) {
        self.buffers.borrow_mut().retain(|buffer| !which(buffer.owner));
    }

    /// Learns the nexus of a new simple connection of an initiator.
    pub fn learn_inner(&self, simple: *mut iscsicore_simple) {
        let Some(index) = self.slots.simples.index_of(simple).filter(|_| !simple.is_null()) else { return };
        let mut nexus = core::ptr::null_mut();
        if self.check(unsafe { iscsicore_simple_nexus(simple, &mut nexus) }) {
            self.inner.set(index, nexus);
        }
    }

    /// The time: it goes on, by leaps now and then; seldom it is any.
    pub fn now(&self) -> u64 {
        const STEPS: [u64; 16] = [
            0,
            0,
            0,
            1,
            1000,
            1000,
            1_000_000,
            1_000_000,
            50_000_000,
            1_000_000_000,
            3_000_000_000,
            10_000_000_000,
            31_000_000_000,
            100_000_000_000,
            700_000_000_000,
            0,
        ];
        let byte = self.input.byte();
        if byte == 255 {
            return self.input.number();
        }
        let step = if byte < 128 { 1000 } else { STEPS[usize::from(byte % 16)] };
        self.clock.set(self.clock.get() + step);
        self.clock.get()
    }

    /// The time, without a choice.
    pub fn tick(&self) -> u64 {
        self.clock.set(self.clock.get() + 1000);
        self.clock.get()
    }

    pub fn keep_id(&self, id: u64) {
        let mut ids = self.ids.borrow_mut();
        if ids.len() >= 32 {
            ids.remove(0);
        }
        ids.push(id);
    }

    /// A number that the library gave once, or an invented one.
    pub fn id(&self) -> u64 {
        let ids = self.ids.borrow();
        let byte = self.input.byte();
        match (byte, ids.len()) {
            (240..245, _) | (_, 0) => self.input.number(),
            (245..250, len) => ids[len - 1] ^ 1 << (byte % 64),
            (250..=255, len) => ids[len - 1].wrapping_add(1 << 32),
            (_, len) => ids[len - 1 - usize::from(byte) % len],
        }
    }

    /// A place for a result; seldom NULL.
    pub fn out<T>(&self) -> *mut T {
        if self.input.byte() == 255 { core::ptr::null_mut() } else { self.memory.room(size_of::<T>()).cast() }
    }

    /// What a call that succeeded wrote there.
    pub fn got<T: Copy>(&self, place: *mut T) -> T {
        assert!(!place.is_null(), "a result for nobody");
        unsafe { place.read() }
    }

    /// Runs a call whose result is a number that others take.
    pub fn learn(&self, call: impl FnOnce(*mut u64) -> iscsicore_status) -> u64 {
        let place = self.out();
        if !self.check(call(place)) {
            return 0;
        }
        let id = self.got(place);
        self.keep_id(id);
        id
    }

    /// A string: of those that mean something, or of the input; seldom NULL.
    pub fn text(&self) -> *const c_char {
        let byte = self.input.byte();
        let words: &[u8] = match byte {
            255 => return core::ptr::null(),
            240..255 => {
                let mut words = self.input.take(usize::from(self.input.byte()));
                words.retain(|byte| *byte != 0);
                words.push(0);
                return self.memory.bytes(&words).cast();
            }
            _ => WORDS[usize::from(byte) % WORDS.len()],
        };
        self.words(words)
    }

    pub fn words(&self, words: &[u8]) -> *const c_char {
        let mut words = words.to_vec();
        words.push(0);
        self.memory.bytes(&words).cast()
    }

    /// Bytes of the input, and how many; seldom NULL, with a length of zero or another.
    pub fn bytes(&self, most: usize) -> (*const u8, usize) {
        let byte = self.input.byte();
        if byte >= 254 {
            return (core::ptr::null(), usize::from(255 - byte));
        }
        let len = usize::from(byte) * 4 % (most + 1);
        let mut bytes = self.input.take(len);
        bytes.resize(len, byte);
        (self.memory.bytes(&bytes), len)
    }

    pub fn seed(&self) -> *const u8 {
        if self.input.byte() == 255 { core::ptr::null() } else { self.memory.bytes(&[self.input.byte(); 32]) }
    }

    /// A struct of options in memory of the size that it says: that of the struct, less, or more.
    pub fn options<T: Copy>(&self, value: T) -> *const T {
        let full = size_of::<T>();
        let (size, fill) = match self.input.byte() {
            0..240 => (full, 0),
            240..245 => (self.input.below(full), 0),
            245..250 => (full + usize::from(self.input.byte()), 0),
            250..255 => (full + usize::from(self.input.byte()), 7),
            255 => return core::ptr::null(),
        };
        let mut bytes = vec![fill; size.max(full)];
        unsafe { bytes.as_mut_ptr().copy_from((&raw const value).cast(), full) };
        bytes[..8].copy_from_slice(&size.to_ne_bytes());
        bytes.truncate(size.max(8));
        self.memory.bytes(&bytes).cast_const().cast()
    }

    /// What the program does in a callback: by the rules, whatever is in use answers that.
    pub fn in_callback(&self, action: u8) {
        self.callbacks.set(self.callbacks.get() + 1);
        let index = usize::from(action) % SLOTS;
        match action / 4 {
            1 => crate::ops::ask_everything(self),
            2 => self.free(self.slots.disk_commands.get(index)),
            3 => self.free(self.slots.kept.get(index)),
            4 => {
                let mut len = 0;
                let handle = self.slots.transmitters.get(index);
                self.check(unsafe { iscsicore_transmitter_queued(handle, &mut len) });
            }
            _ => {}
        }
        self.callbacks.set(self.callbacks.get() - 1);
    }

    /// Frees everything, and checks that everything was given back.
    pub fn end(&self) {
        self.shelf.verify();
        self.wires.borrow_mut().clear();
        fn all<H: Kind>(machine: &Machine) {
            for index in 0..SLOTS {
                machine.free(H::slots(machine).get(index));
                assert!(H::slots(machine).get(index).is_null(), "a handle that cannot be freed");
            }
        }
        use iscsicore_ffi as f;
        all::<f::simple::iscsicore_simple>(self);
        all::<f::host::iscsicore_host>(self);
        all::<f::nexus::iscsicore_nexus>(self);
        all::<f::target::iscsicore_target>(self);
        all::<f::unit::iscsicore_unit>(self);
        all::<f::unit::command::iscsicore_disk_command>(self);
        all::<f::target::kept::iscsicore_kept_data>(self);
        all::<iscsicore_command>(self);
        all::<f::link::iscsicore_receiver>(self);
        all::<f::link::iscsicore_transmitter>(self);
        all::<f::link::iscsicore_buffer_pool>(self);
        all::<f::host::config::iscsicore_host_config>(self);
        self.loans.finish();
        CURRENT.set(core::ptr::null());
    }
}

pub const INITIATOR: &[u8] = b"iqn.2025-01.org.example:client";
pub const TARGET: &[u8] = b"iqn.2025-01.org.example:disk";
pub const ADDRESS: &[u8] = b"127.0.0.1:3260";
pub const SECRET: &[u8] = b"correct horse battery";

const WORDS: [&[u8]; 20] = [
    TARGET,
    INITIATOR,
    ADDRESS,
    b"user",
    b"",
    b"iqn.2025-01.org.example:other",
    b"[2001:db8::1]:3260",
    b"192.0.2.1",
    b"host.example:860",
    b"eui.0123456789ABCDEF",
    b"naa.52004567BA64678D",
    b"serial-1",
    b"IQN.2025-01.ORG.EXAMPLE:UPPER",
    b"iqn.2025-01.org.example:disk,t,0x0001",
    b"\xff\xfe\x80",
    b"a=b\x01c",
    b"\xc3\xa4\xc3\xb6\xc3\xbc",
    &[b'x'; 300],
    b"0x1234567890ab",
    b":",
];
