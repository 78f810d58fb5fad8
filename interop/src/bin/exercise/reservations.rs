//! Persistent reservations between two initiators with sessions of their own.

use iscsicore::scsi::reservation::ReservationType::WriteExclusive;
use iscsicore::scsi::{SenseKey, Status};
use iscsicore_tokio::client::ClientError;
use serde_json::{Value, json};

use crate::model::Model;
use crate::options::Run;
use crate::{Failure, Outcome};

const KEY: u64 = 0x0123_4567_89AB_CDEF;
const OTHER: u64 = 0x0FED_CBA9_8765_4321;

/// One initiator reserves the unit for writing, the other meets that, and takes it over in the end.
pub(crate) async fn run(options: &Run, model: &Model) -> Outcome<Value> {
    let one = &model.client;
    match one.pr_register(0, KEY).await {
        Err(error) if error.sense().is_some_and(|s| s.key == SenseKey::IllegalRequest) => {
            return Ok(json!(format!("refused: {error}")));
        }
        done => done?,
    }
    let two = options.connect_as("iqn.2026-01.dev.iscsicore.interop:second").await?;
    let block = vec![7; model.block];
    same("the keys", &one.pr_keys().await?.keys, &vec![KEY])?;
    one.pr_reserve(KEY, WriteExclusive).await?;
    let held = two.pr_reservation().await?.held;
    same("the reservation", &held.map(|h| (h.key, h.kind)), &Some((KEY, Ok(WriteExclusive))))?;

    one.write(0, block.clone()).await?;
    conflict("a write of the other", two.write(0, block.clone()).await)?;
    conflict("a reservation without a key", two.pr_reserve(OTHER, WriteExclusive).await)?;
    same("a read of the other", &two.read(0, 1).await?.to_vec(), &block)?;

    two.pr_register(0, OTHER).await?;
    same("the keys of both", &two.pr_keys().await?.keys.len(), &2)?;
    if options.no_preempt {
        one.pr_release(KEY, WriteExclusive).await?;
        two.pr_reserve(OTHER, WriteExclusive).await?;
    } else {
        two.pr_preempt(OTHER, KEY, WriteExclusive).await?;
        preempted(one.write(0, block.clone()).await)?;
    }
    two.write(0, block.clone()).await?;
    conflict("a write of who lost the reservation", one.write(0, block.clone()).await)?;

    two.pr_release(OTHER, WriteExclusive).await?;
    one.write(0, block.clone()).await?;
    two.pr_clear(OTHER).await?;
    same("the keys at the end", &one.pr_keys().await?.keys, &vec![])?;
    same("the reservation at the end", &one.pr_reservation().await?.held, &None)?;
    two.logout().await?;
    Ok(json!("done"))
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, wanted: &T) -> Outcome {
    if found == wanted {
        return Ok(());
    }
    Err(Failure(format!("{what}: {found:?} in place of {wanted:?}")))
}

/// Whoever loses a reservation may be told once with a unit attention, which must not be hidden from the caller:
/// RESERVATIONS PREEMPTED or REGISTRATIONS PREEMPTED.
fn preempted(outcome: Result<(), ClientError>) -> Outcome {
    match outcome {
        Err(error)
            if error
                .sense()
                .is_some_and(|s| s.key == SenseKey::UnitAttention && s.additional.code == 0x2A) =>
        {
            Ok(())
        }
        outcome => conflict("the first write of who was preempted", outcome),
    }
}

fn conflict<T>(what: &str, outcome: Result<T, ClientError>) -> Outcome {
    match outcome {
        Err(error) if error.status() == Some(Status::RESERVATION_CONFLICT) => Ok(()),
        Err(error) => Err(Failure(format!("{what}: {error}"))),
        Ok(_) => Err(Failure(format!("{what} is not refused"))),
    }
}
