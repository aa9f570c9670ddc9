//! What it costs to seal what the engine keeps: values written and read back with and without encryption, in turns.
//! `cargo bench --bench sealing`

#![expect(clippy::print_stdout, reason = "its figures are for people")]

use std::time::{Duration, Instant};

use segue::{engine::EngineKind, home::Home, sealing::Sealing};
use temporalio_common::data_converters::{
    DataConverter, SerializationContextData, WorkflowSerializationContext,
};

/// Characters of a value: a step's, a page's, and a large batch's.
const SIZES: [usize; 3] = [300, 10_000, 1_000_000];
/// Bytes that are written and read in each turn.
const A_TURN: usize = 20_000_000;
const TURNS: usize = 5;

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let folder = tempfile::tempdir()?;
    let home = Home::at(folder.path())?;
    let converter = |encrypt| {
        let sealing = Sealing {
            encrypt: Some(encrypt),
            key_file: None,
        };
        sealing.converter(&home, EngineKind::Managed)
    };
    let (plain, sealed) = (converter(false)?, converter(true)?);
    println!("| characters | plain | sealed | more | bytes kept more |");
    println!("| --- | --- | --- | --- | --- |");
    for size in SIZES {
        let (mut without, mut with) = (Duration::MAX, Duration::MAX);
        let mut more = 0;
        for _ in 0..TURNS {
            let (time, small) = runtime.block_on(turn(&plain, size))?;
            without = without.min(time);
            let (time, large) = runtime.block_on(turn(&sealed, size))?;
            with = with.min(time);
            more = large - small;
        }
        println!(
            "| {size} | {without:.1?} | {with:.1?} | {:.1?} | {more} |",
            with.saturating_sub(without)
        );
    }
    Ok(())
}

/// The time of one value, there and back, and the bytes that it has on the way.
async fn turn(converter: &DataConverter, size: usize) -> anyhow::Result<(Duration, usize)> {
    let context = SerializationContextData::Workflow(WorkflowSerializationContext::new());
    let value = "x".repeat(size);
    let count = A_TURN / size;
    let mut bytes = 0;
    let began = Instant::now();
    for _ in 0..count {
        let payload = converter.to_payload(&context, &value).await?;
        let metadata = payload.metadata.iter();
        bytes = payload.data.len() + metadata.map(|(k, v)| k.len() + v.len()).sum::<usize>();
        let back: String = converter.from_payload(&context, payload).await?;
        anyhow::ensure!(back.len() == size, "another value came back");
    }
    Ok((began.elapsed() / u32::try_from(count)?, bytes))
}
