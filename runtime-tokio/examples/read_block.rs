//! Reads a block: the client in five lines.
//!
//!     cargo run -p iscsicore-tokio --example read_block -- iscsi://127.0.0.1:3260/iqn.2026-01.dev.iscsicore:disk0/0

use iscsicore_tokio::Client;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("say which: iscsi://HOST[:PORT]/TARGET/LUN")?;
    let disk = Client::connect(&url).await?;
    println!("{:02x?}", &disk.read(0, 1).await?[..16]);
    Ok(disk.logout().await?)
}
