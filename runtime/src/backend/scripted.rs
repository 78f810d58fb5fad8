//! A back end that misbehaves to order, for tests.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use iscsicore::DataList;
use iscsicore::disk::Allocation;
use tokio::sync::watch;

use super::{Backend, Info, IoReply, MediumError, Reply, Zeroes};

/// Wraps a back end, keeps a record of the calls, and delays, holds or fails those that a test names.
///
/// ```
/// use std::{io::ErrorKind, sync::Arc};
/// use iscsicore_runtime::backend::{Backend, Fault, Gate, Kind, MemoryBackend, Scripted};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let disk = Scripted::new(Arc::new(MemoryBackend::new(1 << 20)));
/// let gate = Gate::new();
/// disk.next(Kind::Read, Fault::Hold(gate.clone())); // the next read waits for the gate,
/// disk.next(Kind::Read, Fault::Fail(ErrorKind::TimedOut)); // and the one after it fails
///
/// let first = tokio::spawn(disk.read(0, 512).wait());
/// assert!(disk.read(0, 512).wait().await.is_err());
/// gate.reached(1).await;
/// gate.open();
/// assert!(first.await.unwrap().is_ok());
/// assert_eq!(disk.calls().len(), 2);
/// # }
/// ```
pub struct Scripted {
    inner: Arc<dyn Backend>,
    state: Mutex<State>,
}

/// What kind an operation is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`Backend::read`].
    Read,
    /// [`Backend::write`].
    Write,
    /// [`Backend::flush`].
    Flush,
    /// [`Backend::unmap`].
    Unmap,
    /// [`Backend::write_zeroes`].
    WriteZeroes,
    /// [`Backend::extents`].
    Extents,
}

/// What happens to an operation.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It fails with this error and does nothing.
    Fail(io::ErrorKind),
    /// It fails with a [`MediumError`] at this byte and does nothing.
    Medium(u64),
    /// It starts so much later.
    Delay(Duration),
    /// It starts when the gate opens.
    Hold(Gate),
}

/// One operation that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// What was asked for.
    pub kind: Kind,
    /// Its first byte; 0 for a flush.
    pub offset: u64,
    /// Its length in bytes; 0 for a flush.
    pub len: u64,
    /// Whether it was to be durable at once.
    pub fua: bool,
}

impl Scripted {
    /// Passes everything on to `inner` until told otherwise.
    pub fn new(inner: Arc<dyn Backend>) -> Self {
        Scripted { inner, state: Mutex::default() }
    }

    /// Does `fault` to the next operation of this kind that no earlier order takes.
    pub fn next(&self, kind: Kind, fault: Fault) {
        self.state().orders.push_back(Order { kind, at: None, fault });
    }

    /// Does `fault` to the next operation of this kind that begins at `offset` and that no earlier order
    /// takes.
    pub fn next_at(&self, kind: Kind, offset: u64, fault: Fault) {
        self.state().orders.push_back(Order { kind, at: Some(offset), fault });
    }

    /// All operations so far, in the order in which they were asked for.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run<T: Send + 'static>(
        &self,
        call: Call,
        operation: impl FnOnce(&Arc<dyn Backend>) -> IoReply<T> + Send + 'static,
    ) -> IoReply<T> {
        let mut state = self.state();
        state.calls.push(call);
        let order =
            state.orders.iter().position(|o| o.kind == call.kind && o.at.is_none_or(|at| at == call.offset));
        let order = order.and_then(|index| state.orders.remove(index));
        drop(state);
        let Some(order) = order else { return operation(&self.inner) };
        let inner = Arc::clone(&self.inner);
        match order.fault {
            Fault::Fail(kind) => Reply::now(Err(kind.into())),
            Fault::Medium(offset) => Reply::now(Err(MediumError { offset }.into())),
            Fault::Delay(time) => Reply::later(async move {
                let sleep = move || {
                    std::thread::sleep(time);
                    Ok(())
                };
                let _ = IoReply::blocking(sleep).wait().await;
                operation(&inner).wait().await
            }),
            Fault::Hold(gate) => Reply::later(async move {
                gate.pass().await;
                operation(&inner).wait().await
            }),
        }
    }
}

impl Backend for Scripted {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    fn info(&self) -> Info {
        self.inner.info()
    }

    fn read(&self, offset: u64, len: usize) -> IoReply<DataList> {
        let call = Call { kind: Kind::Read, offset, len: len as u64, fua: false };
        self.run(call, move |inner| inner.read(offset, len))
    }

    fn write(&self, offset: u64, data: DataList, fua: bool) -> IoReply<()> {
        let call = Call { kind: Kind::Write, offset, len: data.len() as u64, fua };
        self.run(call, move |inner| inner.write(offset, data, fua))
    }

    fn flush(&self) -> IoReply<()> {
        let call = Call { kind: Kind::Flush, offset: 0, len: 0, fua: false };
        self.run(call, |inner| inner.flush())
    }

    fn unmap(&self, offset: u64, len: u64) -> IoReply<()> {
        let call = Call { kind: Kind::Unmap, offset, len, fua: false };
        self.run(call, move |inner| inner.unmap(offset, len))
    }

    fn write_zeroes(&self, offset: u64, len: u64, how: Zeroes) -> IoReply<()> {
        let call = Call { kind: Kind::WriteZeroes, offset, len, fua: false };
        self.run(call, move |inner| inner.write_zeroes(offset, len, how))
    }

    fn extents(&self, offset: u64, len: u64, most: usize) -> IoReply<Vec<(u64, Allocation)>> {
        let call = Call { kind: Kind::Extents, offset, len, fua: false };
        self.run(call, move |inner| inner.extents(offset, len, most))
    }
}

/// Holds operations until it is opened, and then lets all pass. Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate(Arc<watch::Sender<GateState>>);

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Gate(Arc::new(watch::Sender::new(GateState::default())))
    }

    /// Lets everybody pass from now on.
    pub fn open(&self) {
        self.0.send_modify(|state| state.open = true);
    }

    /// Waits until so many operations have come to the gate since it was made.
    pub async fn reached(&self, operations: usize) {
        self.wait_for(|state| state.reached >= operations).await;
    }

    async fn pass(&self) {
        self.0.send_modify(|state| state.reached += 1);
        self.wait_for(|state| state.open).await;
    }

    async fn wait_for(&self, condition: impl FnMut(&GateState) -> bool) {
        // An error would say that the sender is gone, but it is ours.
        let _ = self.0.subscribe().wait_for(condition).await;
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Default)]
struct State {
    orders: VecDeque<Order>,
    calls: Vec<Call>,
}

struct Order {
    kind: Kind,
    at: Option<u64>,
    fault: Fault,
}

#[derive(Debug, Default)]
struct GateState {
    open: bool,
    reached: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::MemoryBackend;

    fn disk() -> Scripted {
        Scripted::new(Arc::new(MemoryBackend::new(1 << 20)))
    }

    #[tokio::test]
    async fn a_held_write_takes_effect_only_after_the_gate_opens() {
        let (disk, gate) = (disk(), Gate::new());
        disk.next_at(Kind::Write, 512, Fault::Hold(gate.clone()));
        assert!(matches!(disk.write(0, vec![1; 512].into(), false), Reply::Now(Ok(()))));
        let held = tokio::spawn(disk.write(512, vec![2; 512].into(), true).wait());
        gate.reached(1).await;
        assert_eq!(disk.read(512, 512).wait().await.unwrap().to_bytes()[..], [0; 512]);
        gate.open();
        held.await.unwrap().unwrap();
        assert_eq!(disk.read(512, 512).wait().await.unwrap().to_bytes()[..], [2; 512]);
    }

    #[tokio::test]
    async fn orders_are_taken_in_turn_and_by_their_place() {
        let disk = disk();
        disk.next_at(Kind::Read, 4096, Fault::Medium(4608));
        disk.next(Kind::Read, Fault::Fail(io::ErrorKind::TimedOut));
        let kind = |reply: IoReply<DataList>| match reply {
            Reply::Now(result) => result.err().map(|e| e.kind()),
            Reply::Later(_) => panic!("later"),
        };
        assert_eq!(kind(disk.read(0, 512)), Some(io::ErrorKind::TimedOut));
        assert_eq!(kind(disk.read(0, 512)), None);
        assert_eq!(kind(disk.read(4096, 1024)), Some(io::ErrorKind::InvalidData));
        assert_eq!(kind(disk.read(4096, 1024)), None);
        assert!(disk.flush().wait().await.is_ok());
    }

    #[tokio::test]
    async fn a_delayed_operation_starts_later() {
        let disk = disk();
        disk.next(Kind::Flush, Fault::Delay(Duration::from_millis(30)));
        let before = std::time::Instant::now();
        disk.flush().wait().await.unwrap();
        assert!(before.elapsed() >= Duration::from_millis(30));
    }
}
