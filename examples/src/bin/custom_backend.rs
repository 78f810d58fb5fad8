//! A server on tokio over storage of your own: `custom_backend [ADDRESS:PORT]`.
//!
//! The disk keeps the blocks that were ever written, in a map; every other block of 512 bytes is computed: it repeats
//! its own number. Whatever can read and write at an offset can be a disk in the same way.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes};
use iscsicore::DataList;
use iscsicore_tokio::Server;
use iscsicore_tokio::backend::{Backend, IoReply, Reply};

const BLOCK: u64 = 512;

struct Numbered {
    blocks: u64,
    written: Mutex<BTreeMap<u64, Bytes>>,
}

impl Backend for Numbered {
    fn size(&self) -> u64 {
        self.blocks * BLOCK
    }

    // Offsets and lengths are whole blocks, within the size. This answers at once; `Reply::later` takes a future, and
    // `Reply::blocking` work for a thread.
    fn read(&self, offset: u64, len: usize) -> IoReply<DataList> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let numbers = offset / BLOCK..(offset + len as u64) / BLOCK;
        let computed = |number: u64| Bytes::from(number.to_be_bytes().repeat(BLOCK as usize / 8));
        Reply::now(Ok(numbers.map(|n| written.get(&n).cloned().unwrap_or_else(|| computed(n))).collect()))
    }

    fn write(&self, offset: u64, data: DataList, _fua: bool) -> IoReply<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let mut data = data.to_bytes();
        for number in offset / BLOCK.. {
            if !data.has_remaining() {
                break;
            }
            // A copy, so that a block does not keep alive the buffer that it arrived in.
            written.insert(number, Bytes::copy_from_slice(&data.split_to(BLOCK as usize)));
        }
        Reply::now(Ok(()))
    }

    fn flush(&self) -> IoReply<()> {
        Reply::now(Ok(()))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned()).parse()?;
    let disk = Numbered { blocks: 131_072, written: Mutex::default() };
    let mut builder = Server::builder();
    let unit = builder.disk("numbered-disk-0", Arc::new(disk));
    builder.target("iqn.2026-01.dev.iscsicore:numbered", &[unit])?;
    let server = builder.serve(address).await?;
    println!("iscsi://{}/iqn.2026-01.dev.iscsicore:numbered/0", server.addresses()[0]);
    tokio::signal::ctrl_c().await?;
    server.shutdown().await;
    Ok(())
}
