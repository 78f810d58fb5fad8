//! Every command that the client has, once: carried out as asked, or refused clearly.

use bytes::Bytes;
use iscsicore::scsi::{SenseKey, Status};
use iscsicore_tokio::Client;
use iscsicore_tokio::client::{ClientError, CompareResult, FlushCoverage};
use serde_json::{Map, Value};

use crate::model::{Model, Random, Range};
use crate::{Failure, Outcome};

/// What became of each command: "done", or how it was refused.
#[derive(Default)]
struct Report(Map<String, Value>);

impl Report {
    /// Notes what became of a command. ILLEGAL REQUEST is a refusal, and so is a CHECK CONDITION without sense data, as
    /// istgt has it; anything else that went wrong is a failure.
    fn note<T>(&mut self, name: &str, outcome: Result<T, ClientError>) -> Outcome<Option<T>> {
        let (value, done) = match outcome {
            Ok(done) => ("done".to_owned(), Some(done)),
            Err(error) if refused(&error) => (format!("refused: {error}"), None),
            Err(error) => return Err(Failure(format!("{name}: {error}"))),
        };
        self.0.insert(name.into(), value.into());
        Ok(done)
    }
}

fn refused(error: &ClientError) -> bool {
    match error.sense() {
        Some(sense) => sense.key == SenseKey::IllegalRequest,
        None => error.status() == Some(Status::CHECK_CONDITION),
    }
}

/// Tries each command, verifies what it does to the blocks, and leaves the unit as the model says.
pub(crate) async fn run(model: &Model, random: &mut Random) -> Outcome<Value> {
    let mut report = Report::default();
    ask(&model.client, &mut report).await?;
    change(model, random, &mut report).await?;
    compare(model, random, &mut report).await?;
    errors(&model.client).await?;
    // A reset leaves unit attentions behind, which no caller shall see.
    report.note("reset_lun", model.client.reset_lun().await)?;
    model.client.test_unit_ready().await?;
    model.verify_whole("the sweep after all commands").await?;
    Ok(Value::Object(report.0))
}

fn require(is: bool, what: &str) -> Outcome {
    if is { Ok(()) } else { Err(Failure(what.to_owned())) }
}

/// Questions that change nothing.
async fn ask(client: &Client, report: &mut Report) -> Outcome {
    let inquiry = client.inquiry().await?;
    require(inquiry.is_present() && inquiry.device_type.0 == 0, "INQUIRY: not a disk")?;
    client.test_unit_ready().await?;
    let luns = client.report_luns().await?;
    require(luns.contains(&client.wire_lun()), "REPORT LUNS leaves the LUN out that was asked")?;
    let sizes = (client.blocks(), client.block_size());
    client.refresh_capacity().await?;
    require(sizes == (client.blocks(), client.block_size()), "READ CAPACITY changes its mind")?;
    for page in [0x00, 0x80, 0x83, 0xB0, 0xB1, 0xB2] {
        if let Some(data) = report.note(&format!("vpd_{page:02x}"), client.vpd(page).await)? {
            require(data.get(1) == Some(&page), "VPD: another page than the one asked for")?;
        }
    }
    report.note("mode_sense_caching", client.mode_sense(0x08, 0).await)?;
    report.note("get_lba_status", client.get_lba_status(0).await)?;
    client.ping(Bytes::from_static(b"are you there?")).await?;
    Ok(())
}

/// Commands that change blocks in a way that the model knows.
async fn change(model: &Model, random: &mut Random, report: &mut Report) -> Outcome {
    let client = &model.client;
    require(client.flush().await? == FlushCoverage::All, "a flush without a reconnect covers everything")?;
    report.note("verify", client.verify(1, 7).await)?;

    let range = model.range(random, 300);
    if report.note("unmap", client.unmap(&[(range.lba, range.blocks as u32)]).await)?.is_some() {
        let data = client.read(range.lba, range.blocks as u32).await?;
        let zeroed = |block: &[u8]| block.iter().all(|b| *b == 0);
        // Granularity leaves the edges as they are; nothing else may come of it.
        let wanted = client.capacity().is_some_and(|c| c.read_zeroes);
        let touched = data.chunks(model.block).any(zeroed);
        require(!wanted || touched, "UNMAP with LBPRZ left every block as it was")?;
        for (lba, block) in (range.lba..).zip(data.chunks(model.block)).filter(|(_, b)| !zeroed(b)) {
            model.verify(Range { lba, blocks: 1 }, block, "what UNMAP did not zero")?;
        }
        rewrite(model, range).await?;
    }

    let range = model.range(random, 300);
    let (generation, block) = model.fresh(Range { lba: range.lba, blocks: 1 });
    if report.note("write_same", client.write_same(range.lba, range.blocks, block.clone()).await)?.is_some() {
        let data = client.read(range.lba, range.blocks as u32).await?;
        require(data.chunks(model.block).all(|b| *b == block[..]), "WRITE SAME wrote something else")?;
        model.wrote(Range { lba: range.lba, blocks: 1 }, generation);
        rewrite(model, range).await?;
    }

    // Where the target knows no WRITE SAME, zeros are sent: this never fails for want of a command.
    let range = model.range(random, 3000);
    client.write_zeroes(range.lba, range.blocks).await?;
    model.zeroed(range);
    Ok(())
}

/// COMPARE AND WRITE, with the right and the wrong expectation.
async fn compare(model: &Model, random: &mut Random, report: &mut Report) -> Outcome {
    let client = &model.client;
    let range = model.range(random, 1);
    rewrite(model, range).await?;
    let before = client.read(range.lba, 1).await?;
    let (generation, after) = model.fresh(range);
    let outcome = client.compare_and_write(range.lba, before.clone(), after.clone()).await;
    if let Some(result) = report.note("compare_and_write", outcome)? {
        require(result == CompareResult::Written, "COMPARE AND WRITE says that equal blocks differ")?;
        model.wrote(range, generation);
        model.verify(range, &client.read(range.lba, 1).await?, "COMPARE AND WRITE")?;
        let again = client.compare_and_write(range.lba, before.clone(), before).await?;
        require(
            matches!(again, CompareResult::Different { .. }),
            "COMPARE AND WRITE says that other blocks are equal",
        )?;
        model.verify(range, &client.read(range.lba, 1).await?, "a COMPARE AND WRITE that differed")?;
    }
    Ok(())
}

/// What cannot be, is refused, by the target or before it gets there, in words that say so.
async fn errors(client: &Client) -> Outcome {
    let blocks = client.blocks();
    for outcome in [
        client.read(blocks, 1).await.map(drop),
        client.read(blocks - 1, 2).await.map(drop),
        client.write(blocks, vec![0; client.block_size() as usize]).await,
    ] {
        let Err(error) = outcome else {
            return Err(Failure("a transfer behind the end is carried out".into()));
        };
        let words = error.to_string();
        // istgt sends no sense data, so that there is no more to say than that.
        let unsaid = error.status() == Some(Status::CHECK_CONDITION) && error.sense().is_none();
        let clear = unsaid || words.contains("OUT OF RANGE") || words.contains("last block");
        require(clear, &format!("a transfer behind the end: {words:?}"))?;
    }
    match client.with_lun(4001).await {
        Ok(_) => Err(Failure("LUN 4001 is there".to_owned())),
        Err(error @ ClientError::NoSuchLun(_)) => {
            require(error.to_string().contains("no LUN 4001"), "unclear")
        }
        Err(error) => Err(Failure(format!("an absent LUN: {error}"))),
    }
}

async fn rewrite(model: &Model, range: Range) -> Outcome {
    let (generation, data) = model.fresh(range);
    model.client.write(range.lba, data).await?;
    model.wrote(range, generation);
    Ok(())
}
