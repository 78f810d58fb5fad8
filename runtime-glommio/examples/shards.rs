//! Serves a 64 MiB disk in memory until Ctrl-C, on one shard a core:
//! `cargo run -p iscsicore-glommio --example shards [ADDRESS [SHARDS]]`.

use std::sync::Arc;
use std::time::Duration;

use iscsicore_glommio::backend::MemoryBackend;
use iscsicore_glommio::{Server, Shards};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".to_owned()).parse()?;
    let shards = arguments.next().map_or(Ok(0), |count| count.parse())?;
    let mut builder = Server::builder();
    builder.runtime(Shards::new(shards));
    let unit = builder.disk("memory-disk-0", Arc::new(MemoryBackend::new(64 << 20)));
    builder.target("iqn.2026-01.dev.iscsicore:memory", &[unit])?;
    let server = builder.serve(address).await?;
    println!("iscsi://{}/iqn.2026-01.dev.iscsicore:memory/0", server.addresses()[0]);
    tokio::signal::ctrl_c().await?;
    for error in server.shutdown_within(Duration::from_secs(5)).await {
        eprintln!("{error}");
    }
    Ok(())
}
