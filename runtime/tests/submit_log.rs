//! What the log says when storage fails.
//!
//! This test has a process of its own: whether a place in the code logs at all is decided once for all threads, so tests
//! that run beside it without a subscriber would get in its way.

use std::io;
use std::sync::Arc;

use iscsicore::DataList;
use iscsicore::disk::{Allocation, Op, Outcome};
use iscsicore_runtime::backend::{
    Backend, Fault, Info, IoReply, Kind, MemoryBackend, Reply, Scripted, Zeroes,
};
use iscsicore_runtime::submit;

const SIZE: u64 = 4 << 20;

async fn run(backend: &Arc<dyn Backend>, op: Op) -> Outcome {
    submit(&"disk-1".into(), backend, op).wait().await
}

fn read(offset: u64, len: u32) -> Op {
    Op::Read { offset, len }
}

fn memory() -> Arc<dyn Backend> {
    Arc::new(MemoryBackend::new(SIZE))
}

/// Whatever fails, at once or later, the log says which disk it was.
#[tokio::test]
async fn the_log_names_the_unit() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let write = |offset| Op::Write { offset, data: vec![1; 512].into(), fua: false };
    let ops = || {
        [
            (Kind::Read, read(0, 512)),
            (Kind::Write, write(0)),
            (Kind::Flush, Op::Flush),
            (Kind::Unmap, Op::Unmap { ranges: vec![(0, 512)] }),
            (Kind::WriteZeroes, Op::WriteZeroes { offset: 0, len: 512, may_unmap: false }),
            (Kind::Extents, Op::Extents { offset: 0, len: 512, most: 1 }),
        ]
    };
    let scripted = Arc::new(Scripted::new(memory()));
    let disk: Arc<dyn Backend> = scripted.clone();
    for (kind, op) in ops() {
        scripted.next(kind, Fault::Fail(io::ErrorKind::StorageFull));
        run(&disk, op).await;
    }
    let later: Arc<dyn Backend> = Arc::new(Later(disk));
    for (kind, op) in ops() {
        scripted.next(kind, Fault::Fail(io::ErrorKind::StorageFull));
        run(&later, op).await;
    }
    run(&later, write(SIZE)).await;
    let lines = log.0.lock().unwrap().clone();
    assert_eq!(lines.len(), 13, "{lines:#?}");
    for line in &lines {
        assert!(line.contains("unit=\"disk-1\""), "{line}");
    }
    assert!(lines[1].contains("failed to write") && lines[1].contains("offset=0"), "{}", lines[1]);
}

/// Passes everything on, and answers later.
struct Later(Arc<dyn Backend>);

impl Later {
    fn later<T: Send + 'static>(reply: IoReply<T>) -> IoReply<T> {
        Reply::later(reply.wait())
    }
}

impl Backend for Later {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn info(&self) -> Info {
        self.0.info()
    }

    fn read(&self, offset: u64, len: usize) -> IoReply<DataList> {
        Later::later(self.0.read(offset, len))
    }

    fn write(&self, offset: u64, data: DataList, fua: bool) -> IoReply<()> {
        Later::later(self.0.write(offset, data, fua))
    }

    fn flush(&self) -> IoReply<()> {
        Later::later(self.0.flush())
    }

    fn unmap(&self, offset: u64, len: u64) -> IoReply<()> {
        Later::later(self.0.unmap(offset, len))
    }

    fn write_zeroes(&self, offset: u64, len: u64, how: Zeroes) -> IoReply<()> {
        Later::later(self.0.write_zeroes(offset, len, how))
    }

    fn extents(&self, offset: u64, len: u64, most: usize) -> IoReply<Vec<(u64, Allocation)>> {
        Later::later(self.0.extents(offset, len, most))
    }
}

/// The events of this crate, one string each.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<String>>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("iscsicore_runtime::submit")
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = String::new();
        event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            line += &format!("{field}={value:?} ");
        });
        self.0.lock().unwrap().push(line);
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}
