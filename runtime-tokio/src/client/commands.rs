//! Asking a unit about itself, and commands that have no method of their own.

use bytes::{Bytes, BytesMut};
use iscsicore::initiator::{Answer, Command, Sink, commands};
use iscsicore::scsi::Inquiry;
use iscsicore::wire::Lun;

use super::{Client, Result, unit};

impl Client {
    /// What the unit is: standard INQUIRY data.
    ///
    /// # Errors
    /// [`ClientError`](super::ClientError).
    pub async fn inquiry(&self) -> Result<Inquiry> {
        self.settled("INQUIRY").await?;
        unit::inquiry(&self.session.shared, self.unit.wire).await
    }

    /// A page of vital product data, whole, with its header. [`iscsicore::scsi::vpd`] reads the usual ones.
    ///
    /// # Errors
    /// [`ClientError`](super::ClientError); a page that the unit does not have is refused with ILLEGAL REQUEST.
    pub async fn vpd(&self, page: u8) -> Result<Bytes> {
        self.settled("INQUIRY").await?;
        unit::page(&self.session.shared, self.unit.wire, page).await
    }

    /// The logical units of the target that this initiator may see.
    ///
    /// # Errors
    /// [`ClientError`](super::ClientError).
    pub async fn report_luns(&self) -> Result<Vec<Lun>> {
        unit::report_luns(&self.session.shared).await
    }

    /// Mode parameters: the answer to MODE SENSE(10), whole, with its header. Page 3Fh asks for all of them.
    /// [`iscsicore::scsi::mode`] reads it.
    ///
    /// # Errors
    /// [`ClientError`](super::ClientError).
    pub async fn mode_sense(&self, page: u8, subpage: u8) -> Result<Bytes> {
        let command = self.admit(commands::mode_sense_10(self.unit.wire, page, subpage)).await?;
        unit::data(&self.session.shared, command).await
    }

    /// Whether the unit is ready.
    ///
    /// # Errors
    /// [`ClientError::Scsi`](super::ClientError::Scsi) when it is not.
    pub async fn test_unit_ready(&self) -> Result<()> {
        self.good(commands::test_unit_ready(self.unit.wire)).await.map(drop)
    }

    /// Sends any command, to the logical unit that it names ([`wire_lun`](Self::wire_lun) is that of this handle), and
    /// returns the answer, whatever its status. Payload comes in [`Answer::data`].
    ///
    /// # Errors
    /// [`ClientError`](super::ClientError) when there is no answer.
    pub async fn command(&self, mut command: Command) -> Result<Answer> {
        command.sink = Sink::Collect;
        if command.lun == self.unit.wire {
            command = self.admit(command).await?;
        }
        self.session.shared.run(command, BytesMut::new()).await.0
    }
}
