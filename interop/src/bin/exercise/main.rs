//! Exercises a target through `iscsicore_tokio::Client`, and verifies every byte. Deterministic for a seed, up to the order
//! in which concurrent commands end.
//!
//! Prints one JSON object. Exit status: 0 all is well, 1 wrong data or a command that failed, 2 no session,
//! 3 a wrong command line.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use iscsicore::session::TargetRecord;
use iscsicore_tokio::Client;
use iscsicore_tokio::client::{ClientError, Events, discover};
use serde_json::{Map, Value, json};

mod commands;
mod load;
mod model;
mod options;
mod patterns;
mod reservations;

use load::Until;
use model::{Model, Random};
use options::{Check, Options, Verb};

/// Why the exercise has failed, in words.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Failure(error.to_string())
    }
}

/// What a check comes to.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 3 } else { 0 });
        }
    };
    match options.verb {
        Verb::Discover(options) => match list(&options).await {
            Ok(targets) => {
                let all = targets.iter().map(|t| (t.name.clone(), addresses(t))).collect::<Map<_, _>>();
                println!("{}", Value::Object(all));
                ExitCode::SUCCESS
            }
            Err(error) => no_session(&error),
        },
        Verb::Run(options) => {
            let client = match options.connect().await {
                Ok(client) => client,
                Err(error) => return no_session(&error),
            };
            match run(&options, client).await {
                Ok(report) => {
                    println!("{report}");
                    ExitCode::SUCCESS
                }
                Err(Failure(why)) => {
                    eprintln!("exercise: seed {}: {why}", options.seed);
                    ExitCode::from(1)
                }
            }
        }
    }
}

async fn list(options: &options::Discover) -> Result<Vec<TargetRecord>, ClientError> {
    discover(&options.portal, options.asking()?).await
}

fn addresses(target: &TargetRecord) -> Value {
    target.addresses.iter().map(|a| format!("{},{}", a.address, a.portal_group_tag)).collect()
}

fn no_session(error: &ClientError) -> ExitCode {
    eprintln!("exercise: {error}");
    ExitCode::from(2)
}

async fn run(options: &options::Run, client: Client) -> Outcome<Value> {
    tokio::spawn(tell(client.events()));
    let mut random = Random::new(options.seed, 1);
    let mut report = Map::new();
    report.insert("keys".into(), keys(&client));
    let mut models = vec![Arc::new(Model::new(client.clone(), options.seed))];
    for lun in &options.luns {
        let unit = client.with_lun(*lun).await?;
        models.push(Arc::new(Model::new(unit, options.seed)));
    }
    report.insert("blocks".into(), models.iter().map(|m| m.blocks).collect());
    if options.checks.iter().any(|c| *c != Check::Reservations) {
        for model in &models {
            model.fill_whole().await?;
        }
    }
    for check in &options.checks {
        let began = Instant::now();
        let value = match check {
            Check::Patterns => {
                let mut bytes = 0;
                for model in &models {
                    bytes += patterns::run(model, options.most, &mut random).await?;
                }
                json!({ "bytes": bytes })
            }
            Check::Load => load(options, &models, &mut random).await?,
            Check::Commands => commands::run(&models[0], &mut random).await?,
            Check::Reservations => reservations::run(options, &models[0]).await?,
        };
        eprintln!("{check:?}: {:.1} s", began.elapsed().as_secs_f64());
        report.insert(format!("{check:?}").to_lowercase(), value);
    }
    let stats = client.stats();
    report.insert("reconnects".into(), stats.reconnects.into());
    report.insert("disconnects".into(), stats.disconnects.into());
    drop(models);
    client.logout().await?;
    Ok(Value::Object(report))
}

/// Says on standard error what happens to the session.
async fn tell(mut events: Events) {
    let began = Instant::now();
    while let Some(event) = events.next().await {
        eprintln!("{:.3} s: {event}", began.elapsed().as_secs_f64());
    }
}

/// The load at each depth; until a moment, or until something has happened, at the last depth alone.
async fn load(options: &options::Run, models: &[Arc<Model>], random: &mut Random) -> Outcome<Value> {
    let time = options.seconds.map(|s| Until::Time(Instant::now() + Duration::from_secs_f64(s)));
    let until = time.or(options.until_reconnects.map(Until::Reconnects));
    let mut depths = options.depth.as_slice();
    if until.is_some() {
        depths = &depths[depths.len().saturating_sub(1)..];
        println!("{}", json!({ "loading": true })); // whoever makes the faults may begin
    }
    let mut total = load::Done::default();
    for depth in depths {
        let done =
            load::run(models, *depth, until.unwrap_or(Until::Generations(options.generations)), random)
                .await?;
        total.commands += done.commands;
        total.bytes += done.bytes;
        total.longest = total.longest.max(done.longest);
    }
    Ok(json!({
        "commands": total.commands, "bytes": total.bytes, "longest_seconds": total.longest.as_secs_f64(),
    }))
}

/// What was negotiated, by the names of RFC 7143 section 13.
fn keys(client: &Client) -> Value {
    let keys = client.parameters();
    let digest = |on| if on { "CRC32C" } else { "None" };
    let yes = |on| if on { "Yes" } else { "No" };
    json!({
        "HeaderDigest": digest(keys.header_digest),
        "DataDigest": digest(keys.data_digest),
        "MaxConnections": keys.max_connections,
        "InitialR2T": yes(keys.initial_r2t),
        "ImmediateData": yes(keys.immediate_data),
        "MaxRecvDataSegmentLength": keys.local_max_segment,
        "PeerMaxRecvDataSegmentLength": keys.peer_max_segment,
        "MaxBurstLength": keys.max_burst,
        "FirstBurstLength": keys.first_burst,
        "DefaultTime2Wait": keys.time2wait,
        "DefaultTime2Retain": keys.time2retain,
        "MaxOutstandingR2T": keys.max_outstanding_r2t,
        "DataPDUInOrder": yes(keys.data_pdu_in_order),
        "DataSequenceInOrder": yes(keys.data_sequence_in_order),
        "ErrorRecoveryLevel": keys.error_recovery_level,
    })
}
