//! The initiator on tokio: a [`Client`] reads and writes a logical unit of an iSCSI target.
//!
//! A client keeps its session through lost connections: it dials and logs in again, commands that had no answer are sent
//! again where that is safe, and all others end with [`ClientError::Unknown`]. [`Client::events`] tells of it.
//!
//! ```no_run
//! # async fn f() -> Result<(), iscsicore_tokio::client::ClientError> {
//! use iscsicore_tokio::Client;
//! let disk = Client::connect("iscsi://192.0.2.1/iqn.2026-01.com.example:disk/0").await?;
//! let first = disk.read(0, 1).await?;
//! println!("{} blocks of {} bytes, the first begins {:02x?}", disk.blocks(), disk.block_size(), &first[..4]);
//! disk.logout().await?;
//! # Ok(())
//! # }
//! ```

mod builder;
mod commands;
mod dial;
mod discovery;
mod driver;
mod error;
mod events;
mod identity;
mod io;
mod link;
mod provisioning;
mod reservations;
mod running;
mod secrets;
mod session;
mod state;
mod stats;
mod unit;
mod url;
mod waiters;

use std::fmt;
use std::sync::Arc;

use iscsicore::scsi::vpd::BlockLimits;
use iscsicore::wire::Lun;

pub use builder::ClientBuilder;
pub use discovery::discover;
pub use error::{ClientError, ConnectError, NoSuchLun, Place, ScsiError, SessionEnded};
pub use events::{Event, Events};
pub use identity::{Difference, UnitChanged};
pub use iscsicore::initiator::FlushCoverage;
pub use iscsicore::scsi::{Capacity, DeviceType};
pub use provisioning::CompareResult;
pub use stats::{Latency, Stats};
pub use url::{DEFAULT_PORT, Url, UrlError};

use session::Session;
use unit::Unit;

/// What most methods of a [`Client`] return.
pub type Result<T, E = ClientError> = std::result::Result<T, E>;

/// A handle on one logical unit of a target.
///
/// It is cheap to clone, and all its methods take `&self`: any number of tasks may use it at once.
/// [`with_lun`](Self::with_lun) gives a handle on another logical unit over the same session. When the last handle is
/// dropped the session is logged out in the background; [`logout`](Self::logout) waits for that.
///
/// *Futures may be dropped at any time.* The command is aborted at the target then. It may have been carried out
/// in part, but no memory is at risk, and other commands are not affected.
///
/// *Blocks.* Addresses and lengths are in logical blocks of [`block_size`](Self::block_size) bytes. Transfers that
/// exceed what the unit takes in one command are split, and the parts run side by side.
///
/// *Another disk.* After every reconnect, before commands that are handed in from then on are sent, the unit is asked for the
/// size of its blocks and for its serial number (VPD page 80h, if it had one). It is asked as well, without anybody waiting
/// for that, when a unit attention condition tells of a reset, another medium or another size. When one of the two is not
/// what it was, every further call fails with [`ClientError::UnitChanged`].
///
/// That does not protect from a target that puts another disk under the same name and LUN while a command waits for its
/// repeat: commands that were handed in before the connection was lost are sent again as soon as there is another one.
/// Where that may happen, give [`ClientBuilder::reconnect`] a policy that is not enabled. A disk of the same block size
/// without a serial number cannot be told from another one, and units that were not probed are not asked.
///
/// *Runtimes.* A session is driven by one task. In a multi-thread runtime each small command may wake another thread, and
/// costs more CPU and a longer time than in a `current_thread` runtime; where small commands matter most, give the client one
/// of those.
///
/// *Memory.* A small [`Bytes`](bytes::Bytes) from [`read`](Self::read) keeps the whole buffer that the socket was read into
/// alive; copy what is kept for long, or use [`read_into`](Self::read_into).
#[derive(Clone)]
pub struct Client {
    session: Arc<Session>,
    unit: Arc<Unit>,
}

impl Client {
    /// Connects to the logical unit that a [`Url`] names, and asks for its size.
    ///
    /// A name for CHAP that the URL does not give is taken from the environment variable `ISCSICORE_USER`, and a secret
    /// from `ISCSICORE_PASSWORD` or from the file that `ISCSICORE_PASSWORD_FILE` names. `ISCSICORE_TARGET_USER`,
    /// `ISCSICORE_TARGET_PASSWORD` and `ISCSICORE_TARGET_PASSWORD_FILE` do the same for what the target must prove.
    /// Last in turn are the variables of libiscsi: `LIBISCSI_CHAP_USERNAME`, `LIBISCSI_CHAP_PASSWORD`,
    /// `LIBISCSI_CHAP_TARGET_USERNAME`, `LIBISCSI_CHAP_TARGET_PASSWORD`.
    ///
    /// # Errors
    /// [`ClientError`]: the URL is none, there is no session, or no such logical unit.
    ///
    /// # Panics
    /// Outside of a tokio runtime, as all that connects.
    pub async fn connect(url: &str) -> Result<Client> {
        Self::builder().url(url)?.connect().await
    }

    /// Everything that a URL cannot say.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    /// The number of the logical unit.
    #[must_use]
    pub fn lun(&self) -> u16 {
        self.unit.lun
    }

    /// The logical unit as commands name it, for [`command`](Self::command).
    #[must_use]
    pub fn wire_lun(&self) -> Lun {
        self.unit.wire
    }

    /// Bytes of a logical block; 0 for what is no disk.
    #[must_use]
    pub fn block_size(&self) -> u32 {
        self.unit.block_size()
    }

    /// How many logical blocks there are, as told last; 0 for what is no disk.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.unit.blocks()
    }

    /// What READ CAPACITY told last; `None` for what is no disk.
    ///
    /// It is asked for anew when the target tells that it has changed, and after every reconnect.
    #[must_use]
    pub fn capacity(&self) -> Option<Capacity> {
        self.unit.capacity()
    }

    /// What kind of device it is; `None` when it was not asked ([`ClientBuilder::unprobed`]).
    #[must_use]
    pub fn device_type(&self) -> Option<DeviceType> {
        self.unit.device()
    }

    /// The Block Limits page, as it was when the unit was first used; all zeros when there is none.
    #[must_use]
    pub fn block_limits(&self) -> BlockLimits {
        self.unit.limits()
    }

    /// Asks for the size anew.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn refresh_capacity(&self) -> Result<Option<Capacity>> {
        self.settled("READ CAPACITY").await?;
        self.unit.refresh(&self.session.shared).await?;
        Ok(self.unit.capacity())
    }

    /// A handle on another logical unit of the same session; or on this one as it is now, after
    /// [`ClientError::UnitChanged`].
    ///
    /// # Errors
    /// [`ClientError::NoSuchLun`], and what else may go wrong when it is asked what it is.
    pub async fn with_lun(&self, lun: u16) -> Result<Client> {
        let unit = self.session.unit(lun).await?;
        Ok(Client { session: Arc::clone(&self.session), unit })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("target", &self.session.shared.target)
            .field("lun", &self.unit.lun)
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}
