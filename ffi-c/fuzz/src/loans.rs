//! Payload that is lent: whether it is given back once, and not at all when the call has failed.

use core::cell::{Cell, RefCell};
use core::ffi::c_void;

use iscsicore_ffi::payload::{iscsicore_iovec, iscsicore_payload};
use iscsicore_ffi::status::iscsicore_status;

use crate::machine::{self, Machine};
use crate::slots::Kind;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// The call is under way.
    Offered,
    Lent,
    Released,
    /// The call has failed: the memory is the program's.
    Declined,
}

struct Loan {
    state: State,
    /// Gone as soon as it was given back: AddressSanitizer sees whoever reads it afterwards.
    memory: Vec<Box<[u8]>>,
    /// What the program does when it gets the memory back.
    action: u8,
}

#[derive(Default)]
pub struct Loans(RefCell<Vec<Loan>>, Cell<usize>);

unsafe extern "C" fn release(context: *mut c_void) {
    machine::with_current(|machine| {
        let action = {
            let mut loans = machine.loans.0.borrow_mut();
            let loan = &mut loans[context as usize - 1];
            assert!(
                matches!(loan.state, State::Offered | State::Lent),
                "memory was given back that was not lent: {:?}",
                loan.state
            );
            loan.state = State::Released;
            loan.memory = Vec::new();
            loan.action
        };
        machine.in_callback(action);
    });
}

/// A handle that was lent along with the payload that it holds.
unsafe extern "C" fn release_handle<H: Kind>(context: *mut c_void) {
    machine::with_current(|machine| {
        machine.shelf.retire(context.cast());
        machine.loans.1.set(machine.loans.1.get() - 1);
        let status = unsafe { H::free(context.cast()) };
        assert!(status == iscsicore_status::Ok, "{status:?}: a handle that nobody has is in use");
    });
}

impl Machine {
    /// Calls with payload that a handle holds, which is freed when the library gives the payload back.
    pub fn with_handle<H: Kind>(
        &self,
        handle: *mut H,
        slices: *const iscsicore_iovec,
        count: usize,
        call: impl FnOnce(*const iscsicore_payload) -> iscsicore_status,
    ) {
        let slots = H::slots(self);
        let Some(index) = slots.index_of(handle).filter(|_| !handle.is_null()) else { return };
        slots.set(index, core::ptr::null_mut());
        self.loans.1.set(self.loans.1.get() + 1);
        let release: unsafe extern "C" fn(*mut c_void) = release_handle::<H>;
        let payload = iscsicore_payload { slices, count, release: Some(release), context: handle.cast() };
        if !self.check(call(self.memory.list(&[payload]))) {
            self.loans.1.set(self.loans.1.get() - 1);
            slots.set(index, handle);
        }
    }

    /// Calls with payload of `len` bytes, or of any length: lent or to be copied, in slices.
    pub fn with_payload(
        &self,
        len: Option<usize>,
        call: impl FnOnce(*const iscsicore_payload) -> iscsicore_status,
    ) -> iscsicore_status {
        let style = self.input.byte();
        if style == 255 {
            return call(core::ptr::null());
        }
        let memory = self.pieces(len, style & 3);
        let mut slices: Vec<_> = memory
            .iter()
            .map(|piece| iscsicore_iovec { iov_base: piece.as_ptr().cast_mut().cast(), iov_len: piece.len() })
            .collect();
        if style & 0xf0 == 0xe0 {
            let len = usize::from(style & 1);
            slices.push(iscsicore_iovec { iov_base: core::ptr::null_mut(), iov_len: len });
        }
        let lent = style & 4 != 0;
        let list = self.memory.list(&slices);
        let mut payload = iscsicore_payload {
            slices: list,
            count: slices.len(),
            release: None,
            context: core::ptr::null_mut(),
        };
        if !lent {
            return call(self.memory.list(&[payload]));
        }
        let index = self.loans.0.borrow().len();
        self.loans.0.borrow_mut().push(Loan { state: State::Offered, memory, action: style >> 3 });
        payload.release = Some(release);
        payload.context = (index + 1) as *mut c_void;
        let status = call(self.memory.list(&[payload]));
        self.loans.settle(index, status);
        status
    }

    /// The payload in pieces of its own memory.
    fn pieces(&self, len: Option<usize>, cuts: u8) -> Vec<Box<[u8]>> {
        let len = len.unwrap_or_else(|| match self.input.byte() {
            small @ 0..200 => small.into(),
            200..230 => 512 * usize::from(self.input.byte() % 17),
            _ => self.input.number() as usize % 70_000,
        });
        let head = self.input.take(len.min(usize::from(self.input.byte() % 32)));
        let mut whole = vec![cuts; len];
        whole[..head.len()].copy_from_slice(&head);
        let mut pieces = Vec::new();
        for _ in 0..cuts {
            let cut = self.input.byte() as usize * whole.len() / 256;
            let rest = whole.split_off(cut);
            pieces.push(whole.into_boxed_slice());
            whole = rest;
        }
        pieces.push(whole.into_boxed_slice());
        pieces
    }
}

impl Loans {
    fn settle(&self, index: usize, status: iscsicore_status) {
        let loan = &mut self.0.borrow_mut()[index];
        match (status, loan.state) {
            (iscsicore_status::Ok, State::Offered) => loan.state = State::Lent,
            (iscsicore_status::Ok, State::Released) => {}
            (_, State::Offered) => (loan.state, loan.memory) = (State::Declined, Vec::new()),
            (status, state) => panic!("after {status:?} the memory is {state:?}"),
        }
    }

    /// After the last handle was freed.
    pub fn finish(&self) {
        for loan in self.0.borrow().iter() {
            assert!(loan.state != State::Lent, "memory that was lent was never given back");
        }
        assert_eq!(self.1.get(), 0, "a handle that was lent was never given back");
    }
}
