//! Reading and writing blocks: whole transfers, cut into commands as the unit takes them.

use std::future::Future;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{FuturesUnordered, StreamExt};
use iscsicore::DataList;
use iscsicore::initiator::commands::{self, Access};
use iscsicore::initiator::{Answer, Command, FlushCoverage, Sink};

use super::{Client, ClientError, Result};

/// Up to this many bytes a read without a buffer of the caller takes slices of what the socket brought. Measured against new
/// memory for the socket to read into, that costs as much or less; at 64 KiB it would cost twice as much, since whole read
/// buffers go with the slices.
const COLLECT_UP_TO: usize = 32 << 10;

/// Commands of one transfer that are under way at one time.
const PARTS: usize = 8;

impl Client {
    /// Reads `blocks` blocks from `lba` on.
    ///
    /// The bytes share memory with what else the socket brought at that time: copy what is small and is to be kept for
    /// long.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn read(&self, lba: u64, blocks: u32) -> Result<Bytes> {
        let len = self.len_of(blocks)?;
        if len == 0 {
            return Ok(Bytes::new());
        }
        if len <= COLLECT_UP_TO && blocks <= self.unit.max_transfer() {
            let command = commands::read(self.unit.wire, lba, blocks, self.block_size())?;
            return Ok(self.collect(command).await?.to_bytes());
        }
        let (done, buffer) = self.read_buf(lba, BytesMut::zeroed(len)).await;
        done.map(|()| buffer.freeze())
    }

    /// Reads as many blocks as `buffer` has room for, from `lba` on, and copies them there once.
    ///
    /// # Errors
    /// [`ClientError`]; `buffer` has not changed then.
    pub async fn read_into(&self, lba: u64, buffer: &mut [u8]) -> Result<()> {
        let blocks = self.blocks_in(buffer.len())?;
        if buffer.is_empty() {
            return Ok(());
        }
        if buffer.len() > COLLECT_UP_TO || blocks > self.unit.max_transfer() {
            let (done, bytes) = self.read_buf(lba, BytesMut::zeroed(buffer.len())).await;
            done?;
            buffer.copy_from_slice(&bytes);
            return Ok(());
        }
        let command = commands::read(self.unit.wire, lba, blocks, self.block_size())?;
        let data = self.collect(command).await?;
        let mut rest = buffer;
        for chunk in data.chunks() {
            let (place, behind) = rest.split_at_mut(chunk.len());
            place.copy_from_slice(chunk);
            rest = behind;
        }
        Ok(())
    }

    /// Reads as many blocks as `buffer` has bytes for, from `lba` on, straight from the socket into it, and gives it
    /// back. This is the way without a copy, and without new memory where one buffer serves for many reads.
    ///
    /// After an error the bytes of the buffer may be partly those of the disk. A future that is dropped takes the buffer
    /// with it.
    pub async fn read_buf(&self, lba: u64, buffer: BytesMut) -> (Result<()>, BytesMut) {
        let blocks = match self.blocks_in(buffer.len()) {
            Ok(0) => return (Ok(()), buffer),
            Ok(blocks) => blocks,
            Err(error) => return (Err(error), buffer),
        };
        let most = self.unit.max_transfer();
        if blocks <= most {
            return self.read_part(lba, blocks, buffer).await;
        }
        let size = self.block_size() as usize;
        let mut rest = buffer;
        let mut parts = Vec::with_capacity(blocks.div_ceil(most) as usize);
        while !rest.is_empty() {
            let len = rest.len().min(most as usize * size);
            parts.push(rest.split_to(len));
        }
        let mut at = lba;
        let mut jobs = Vec::with_capacity(parts.len());
        for (index, part) in parts.iter_mut().map(std::mem::take).enumerate() {
            let blocks = (part.len() / size) as u32;
            let start = at;
            at = at.saturating_add(blocks.into());
            jobs.push((index, start, blocks, part));
        }
        let mut error = None;
        let job = async |(index, start, blocks, part)| (index, self.read_part(start, blocks, part).await);
        let ended = side_by_side(jobs, job, |(_, (done, _))| done.is_err()).await;
        for (index, (done, part)) in ended.done {
            parts[index] = part;
            error = error.or(done.err());
        }
        for (index, _, _, part) in ended.not_begun {
            parts[index] = part;
        }
        // They lie side by side in memory: nothing is copied here.
        let mut parts = parts.into_iter();
        let mut buffer = parts.next().unwrap_or_default();
        parts.for_each(|part| buffer.unsplit(part));
        (error.map_or(Ok(()), Err), buffer)
    }

    /// Writes `data` from `lba` on. A `Bytes`, a `Vec<u8>` or a list of slices is sent as it is, without a copy.
    ///
    /// That it is on stable storage is only certain after a [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`ClientError`]. Parts of the data may have been written.
    pub async fn write(&self, lba: u64, data: impl Into<DataList>) -> Result<()> {
        self.write_as(lba, data.into(), Access::default()).await
    }

    /// The same, with the data on stable storage when it ends (FUA).
    ///
    /// # Errors
    /// [`ClientError`]. Parts of the data may have been written.
    pub async fn write_fua(&self, lba: u64, data: impl Into<DataList>) -> Result<()> {
        self.write_as(lba, data.into(), Access::FUA).await
    }

    /// Writes a copy of `data` from `lba` on.
    ///
    /// # Errors
    /// [`ClientError`]. Parts of the data may have been written.
    pub async fn write_from(&self, lba: u64, data: &[u8]) -> Result<()> {
        self.write(lba, Bytes::copy_from_slice(data)).await
    }

    /// Brings everything that was written to stable storage: SYNCHRONIZE CACHE.
    ///
    /// What it returns says whether that holds for all writes that were acknowledged before, or whether a reconnect lies
    /// between.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn flush(&self) -> Result<FlushCoverage> {
        Ok(self.good(commands::flush(self.unit.wire)).await?.coverage)
    }

    /// Has the unit read `blocks` blocks from `lba` on, and tell whether it can: VERIFY without data. Some targets say
    /// GOOD without looking.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn verify(&self, lba: u64, blocks: u64) -> Result<()> {
        let most = u64::from(self.disk()?.unit.max_transfer());
        let pieces = pieces(lba, blocks, most)?;
        let job = async |(lba, blocks)| self.good(commands::verify(self.unit.wire, lba, blocks)?).await;
        side_by_side(pieces, job, Result::is_err).await.first_error()
    }

    async fn write_as(&self, lba: u64, data: DataList, access: Access) -> Result<()> {
        let blocks = self.blocks_in(data.len())?;
        let (lun, size) = (self.unit.wire, self.block_size());
        let most = self.unit.max_transfer();
        if blocks <= most {
            if blocks > 0 {
                self.good(commands::write_with(lun, lba, data, size, access)?).await?;
            }
            return Ok(());
        }
        let mut data = data;
        let parts: Vec<_> = pieces(lba, blocks.into(), most.into())?
            .into_iter()
            .map(|(lba, blocks)| (lba, data.split_to(blocks as usize * size as usize)))
            .collect();
        let job = async |(lba, data): (u64, DataList)| {
            self.good(commands::write_with(lun, lba, data, size, access)?).await
        };
        side_by_side(parts, job, Result::is_err).await.first_error()
    }

    async fn read_part(&self, lba: u64, blocks: u32, buffer: BytesMut) -> (Result<()>, BytesMut) {
        let mut command = match commands::read(self.unit.wire, lba, blocks, self.block_size()) {
            Ok(command) => command,
            Err(misuse) => return (Err(misuse.into()), buffer),
        };
        command.sink = Sink::Slots;
        let (wanted, cdb) = (buffer.len(), command.cdb.clone());
        let (answer, buffer) = self.run_good(command, buffer).await;
        let done = answer.and_then(|answer| match answer.received as usize == wanted {
            true => Ok(()),
            false => Err(self.short(&cdb, answer.received as usize, wanted)),
        });
        (done, buffer)
    }

    /// The payload of a command, which must be complete.
    async fn collect(&self, command: Command) -> Result<DataList> {
        let (wanted, cdb) = (command.data_in as usize, command.cdb.clone());
        let answer = self.good(command).await?;
        match answer.data.len() == wanted {
            true => Ok(answer.data),
            false => Err(self.short(&cdb, answer.data.len(), wanted)),
        }
    }

    fn short(&self, cdb: &iscsicore::scsi::Cdb, got: usize, wanted: usize) -> ClientError {
        let problem = format!("{got} bytes came in place of {wanted}");
        self.session.shared.bad_answer(self.unit.wire, cdb, problem)
    }

    /// Has a command carried out that must end with GOOD.
    pub(super) async fn good(&self, command: Command) -> Result<Answer> {
        self.run_good(command, BytesMut::new()).await.0
    }

    /// The same with memory for payload.
    async fn run_good(&self, command: Command, buffer: BytesMut) -> (Result<Answer>, BytesMut) {
        match self.admit(command).await {
            Ok(command) => self.session.shared.run_good(command, buffer).await,
            Err(error) => (Err(error), buffer),
        }
    }

    /// Lets a command pass when the unit is known to be the one that this handle was made for.
    pub(super) async fn admit(&self, mut command: Command) -> Result<Command> {
        let shared = &self.session.shared;
        let limit = command.timeout.or(shared.command_timeout);
        let waited = self.unit.settled(shared, limit, || command.cdb.name()).await?;
        // Waiting is part of its time.
        command.timeout = limit.map(|limit| limit.saturating_sub(waited));
        Ok(command)
    }

    /// The same for a question.
    pub(super) async fn settled(&self, what: &'static str) -> Result<()> {
        let shared = &self.session.shared;
        self.unit.settled(shared, shared.command_timeout, || what.into()).await.map(drop)
    }

    /// This handle, if it is on a disk.
    pub(super) fn disk(&self) -> Result<&Self> {
        if self.block_size() > 0 {
            return Ok(self);
        }
        Err(ClientError::misuse(match self.device_type() {
            Some(device) => format!("LUN {} of {} is no disk but: {device}", self.lun(), self.target()),
            None => format!("LUN {} of {} was not asked for its size", self.lun(), self.target()),
        }))
    }

    fn len_of(&self, blocks: u32) -> Result<usize> {
        let size = self.disk()?.block_size();
        usize::try_from(u64::from(blocks) * u64::from(size))
            .map_err(|_| ClientError::misuse("the transfer is longer than memory can be"))
    }

    fn blocks_in(&self, len: usize) -> Result<u32> {
        let size = self.disk()?.block_size() as usize;
        if !len.is_multiple_of(size) {
            return Err(ClientError::misuse(format!("{len} bytes are not whole blocks of {size} bytes")));
        }
        u32::try_from(len / size).map_err(|_| ClientError::misuse("a transfer has at most 2^32 - 1 blocks"))
    }
}

/// Cuts `blocks` blocks into runs of at most `most`.
pub(super) fn pieces(lba: u64, blocks: u64, most: u64) -> Result<Vec<(u64, u32)>> {
    let end = lba.checked_add(blocks).ok_or_else(|| {
        ClientError::misuse(format!("{blocks} blocks from {lba} on end behind the last address there is"))
    })?;
    let most = most.clamp(1, u32::MAX.into());
    let mut out = Vec::new();
    let mut at = lba;
    while at < end {
        let len = (end - at).min(most);
        out.push((at, len as u32));
        at += len;
    }
    Ok(out)
}

/// What came of jobs that ran side by side.
pub(super) struct Ended<J, T> {
    done: Vec<T>,
    not_begun: Vec<J>,
}

impl<J, T> Ended<J, Result<T>> {
    /// The error of the one that failed first, if one did.
    pub(super) fn first_error(self) -> Result<()> {
        self.done.into_iter().find_map(Result::err).map_or(Ok(()), Err)
    }
}

/// Runs jobs, a bounded number at one time. After one that failed no more are begun; those under way are waited for, so
/// that nothing happens behind the caller's back.
pub(super) async fn side_by_side<J, T, F: Future<Output = T>>(
    jobs: impl IntoIterator<Item = J>,
    begin: impl Fn(J) -> F,
    failed: impl Fn(&T) -> bool,
) -> Ended<J, T> {
    let mut jobs = jobs.into_iter();
    let mut running: FuturesUnordered<F> = jobs.by_ref().take(PARTS).map(&begin).collect();
    let mut done = Vec::new();
    let mut goes_on = true;
    while let Some(ended) = running.next().await {
        goes_on &= !failed(&ended);
        done.push(ended);
        if goes_on && let Some(job) = jobs.next() {
            running.push(begin(job));
        }
    }
    Ended { done, not_begun: jobs.collect() }
}
