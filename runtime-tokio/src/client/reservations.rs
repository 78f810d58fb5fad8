//! Persistent reservations: which initiators may use a unit (SPC-4 clause 5.13).

use iscsicore::initiator::Command;
use iscsicore::initiator::commands::{self, PrOut, RegisterOptions};
use iscsicore::scsi::reservation::{Capabilities, FullStatus, Keys, Reservation, ReservationType};

use super::{Client, Result, unit};

impl Client {
    /// The keys that are registered with the unit.
    ///
    /// # Errors
    /// [`ClientError`](super::ClientError).
    pub async fn pr_keys(&self) -> Result<Keys> {
        self.ask(commands::pr_in_keys(self.unit.wire), Keys::decode).await
    }

    /// The reservation that is held, if there is one.
    ///
    /// # Errors
    /// [`ClientError`](super::ClientError).
    pub async fn pr_reservation(&self) -> Result<Reservation> {
        self.ask(commands::pr_in_reservation(self.unit.wire), Reservation::decode).await
    }

    /// What kinds of reservations the unit knows.
    ///
    /// # Errors
    /// [`ClientError`](super::ClientError).
    pub async fn pr_capabilities(&self) -> Result<Capabilities> {
        self.ask(commands::pr_in_capabilities(self.unit.wire), Capabilities::decode).await
    }

    /// Who is registered, with what key, and who holds the reservation.
    ///
    /// # Errors
    /// [`ClientError`](super::ClientError).
    pub async fn pr_full_status(&self) -> Result<FullStatus> {
        self.ask(commands::pr_in_full_status(self.unit.wire), FullStatus::decode).await
    }

    /// Registers this session with the key `new`, or takes its registration back when that is zero. `key` is the key so
    /// far, zero for none.
    ///
    /// # Errors
    /// As [`pr_out`](Self::pr_out); RESERVATION CONFLICT when `key` is not the key so far.
    pub async fn pr_register(&self, key: u64, new: u64) -> Result<()> {
        self.pr_out(&PrOut::Register { key, new, options: RegisterOptions::default() }).await
    }

    /// The same whatever the key so far.
    ///
    /// # Errors
    /// As [`pr_out`](Self::pr_out).
    pub async fn pr_register_and_ignore(&self, new: u64) -> Result<()> {
        self.pr_out(&PrOut::RegisterAndIgnore { new, options: RegisterOptions::default() }).await
    }

    /// Reserves the unit. `key` is the one that this session is registered with, here and below.
    ///
    /// # Errors
    /// As [`pr_out`](Self::pr_out); RESERVATION CONFLICT when somebody else holds a reservation.
    pub async fn pr_reserve(&self, key: u64, kind: ReservationType) -> Result<()> {
        self.pr_out(&PrOut::Reserve { key, kind }).await
    }

    /// Gives the reservation back.
    ///
    /// # Errors
    /// As [`pr_out`](Self::pr_out).
    pub async fn pr_release(&self, key: u64, kind: ReservationType) -> Result<()> {
        self.pr_out(&PrOut::Release { key, kind }).await
    }

    /// Takes the reservation and all registrations away.
    ///
    /// # Errors
    /// As [`pr_out`](Self::pr_out).
    pub async fn pr_clear(&self, key: u64) -> Result<()> {
        self.pr_out(&PrOut::Clear { key }).await
    }

    /// Takes the registrations with the key `victim` away, and the reservation over if one of them holds it.
    ///
    /// # Errors
    /// As [`pr_out`](Self::pr_out).
    pub async fn pr_preempt(&self, key: u64, victim: u64, kind: ReservationType) -> Result<()> {
        self.pr_out(&PrOut::Preempt { key, victim, kind }).await
    }

    /// Any PERSISTENT RESERVE OUT.
    ///
    /// # Errors
    /// [`ClientError`](super::ClientError); [`Unknown`](super::ClientError::Unknown) when the connection was lost before
    /// the answer: it is never sent twice, and [`pr_full_status`](Self::pr_full_status) tells what came of it.
    pub async fn pr_out(&self, action: &PrOut) -> Result<()> {
        self.good(commands::pr_out(self.unit.wire, action)?).await.map(drop)
    }

    /// The decoded data that a command brings.
    async fn ask<T>(&self, command: Command, decode: fn(&[u8]) -> Option<T>) -> Result<T> {
        let shared = &self.session.shared;
        let cdb = command.cdb.clone();
        let command = self.admit(command).await?;
        let data = unit::data(shared, command).await?;
        decode(&data).ok_or_else(|| shared.bad_answer(self.unit.wire, &cdb, "it is too short"))
    }
}
