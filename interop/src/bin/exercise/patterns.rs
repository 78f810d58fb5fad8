//! One transfer after another: sizes from one block on, at and beside every border that was negotiated, at odd
//! places, through each way that the client has to read and write.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use iscsicore::DataList;

use crate::model::{Model, Random, Range};
use crate::{Failure, Outcome};

/// Sizes in blocks: powers of two and the borders of the session, with both neighbours of each.
fn sizes(model: &Model, most: u64) -> BTreeSet<u64> {
    let block = model.block as u64;
    let most = (most / block).min(model.blocks);
    let keys = model.client.parameters();
    let bytes = [keys.first_burst, keys.max_burst, keys.local_max_segment, keys.peer_max_segment];
    let borders = bytes.iter().map(|b| u64::from(*b) / block);
    let powers = (0..).map(|n| 1 << n).take_while(|n| *n <= most);
    let around = |n: u64| [n.saturating_sub(1), n, n + 1];
    powers.chain(borders).flat_map(around).filter(|n| (1..=most).contains(n)).collect()
}

/// Writes and reads each size up to `most` bytes; what stands beside a write must stay. Returns the bytes that were verified.
pub(crate) async fn run(model: &Model, most: u64, random: &mut Random) -> Outcome<u64> {
    let mut bytes = 0;
    for (turn, blocks) in sizes(model, most).into_iter().enumerate() {
        let range = Range { lba: random.below(model.blocks - blocks + 1), blocks };
        write(model, range, turn).await?;
        let lba = range.lba.saturating_sub(1);
        let end = (range.lba + blocks + 1).min(model.blocks);
        let around = Range { lba, blocks: end - lba };
        let data = read(model, around, turn).await?;
        model.verify(around, &data, &format!("a transfer of {blocks} blocks"))?;
        bytes += data.len() as u64;
    }
    Ok(bytes)
}

async fn write(model: &Model, range: Range, turn: usize) -> Outcome {
    let client = &model.client;
    let (generation, data) = model.fresh(range);
    match turn % 4 {
        0 => client.write(range.lba, data).await?,
        1 => client.write_from(range.lba, &data).await?,
        2 => client.write(range.lba, sliced(&data)).await?,
        _ => client.write_fua(range.lba, data).await?,
    }
    model.wrote(range, generation);
    Ok(())
}

/// The same bytes in slices of a length that fits nothing.
fn sliced(data: &Bytes) -> DataList {
    let starts = (0..data.len()).step_by(3001);
    starts.map(|at| data.slice(at..(at + 3001).min(data.len()))).collect()
}

async fn read(model: &Model, range: Range, turn: usize) -> Outcome<Bytes> {
    let (client, len) = (&model.client, range.blocks as usize * model.block);
    match turn % 3 {
        0 => Ok(client.read(range.lba, range.blocks as u32).await?),
        1 => {
            let mut buffer = vec![0xA5; len];
            client.read_into(range.lba, &mut buffer).await?;
            Ok(buffer.into())
        }
        _ => {
            let (done, buffer) = client.read_buf(range.lba, BytesMut::zeroed(len)).await;
            done?;
            if buffer.len() != len {
                return Err(Failure(format!("read_buf gave back {} of {len} bytes", buffer.len())));
            }
            Ok(buffer.freeze())
        }
    }
}
