//! Serves a 64 MiB disk in memory until Ctrl-C: `cargo run -p iscsicore-tokio --example memory_disk [ADDRESS]`.

use std::sync::Arc;
use std::time::Duration;

use iscsicore_tokio::Server;
use iscsicore_tokio::backend::MemoryBackend;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned()).parse()?;
    let mut builder = Server::builder();
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
