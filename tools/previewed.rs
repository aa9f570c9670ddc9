//! What a preview found, taken over by the batch that follows it.

use futures::future::try_join_all;
use segue_workflows::{
    batch::{BatchInput, BatchOptions, Imported, ROWS_A_PAGE, SourcePage, Target},
    batch_sync::BatchSync,
    sync::SyncStatus,
    track::SourceTrack,
};
use temporalio_client::{Client, WorkflowQueryOptions};

use crate::{
    batch_view,
    error::ToolError,
    report, rows,
    sync_playlist::{self, Order, Params},
    view,
};

/// Pages that are read from the engine at a time.
const AT_A_TIME: usize = 10;

const ALONE: &str = "from_preview with playlist or create_playlist, on_ambiguous, atomic, \
                     add_duplicates and wait_seconds";

/// The batch that does what this preview had looked at.
///
/// # Errors
/// There is no such preview, it has not ended well, or other arguments contradict it.
pub(crate) async fn taken_over(
    client: &Client,
    user_id: &str,
    preview_id: &str,
    params: Params,
) -> Result<(BatchInput, Option<Imported>), ToolError> {
    nothing_else(&params)?;
    let described = view::describe(client, user_id, preview_id).await?;
    let view = view::read(client, user_id, preview_id).await?;
    let is_preview = view.batch.as_ref().is_some_and(|batch| batch.dry_run);
    if !is_preview {
        return Err(ToolError::wrong_state(
            preview_id,
            "This sync is no preview.",
            "Give the sync_id that preview_sync answered, or the tracks themselves.",
        ));
    }
    if view.status != SyncStatus::Completed {
        return Err(ToolError::wrong_state(
            preview_id,
            format!("The preview is {}.", view.status.as_str().replace('_', " ")),
            "Wait for its end with get_sync_progress; one that failed has to be started again.",
        ));
    }
    let preview = client
        .get_workflow_handle::<BatchSync>(preview_id)
        .query(BatchSync::input, (), WorkflowQueryOptions::default())
        .await
        .map_err(|error| ToolError::engine_failed("read what was previewed", &error))?;
    let target = match (&params.playlist, &params.create_playlist, preview.target) {
        (None, None, Target::Playlist(same)) => Target::Playlist(same),
        (playlist, new, _) => sync_playlist::target(playlist.as_deref(), new.as_deref())?,
    };
    let batch = BatchInput {
        target,
        pages: pages(client, preview_id, preview.rows).await?,
        options: BatchOptions {
            dry_run: false,
            on_ambiguous: params.on_ambiguous.unwrap_or(preview.options.on_ambiguous),
            atomic: params.atomic,
            add_duplicates: params.add_duplicates,
            ..preview.options
        },
        from_preview: Some(preview_id.to_owned()),
        retry_of: None,
        so_far: None,
        ..preview
    };
    sync_playlist::can_be_undone(&batch.options)?;
    Ok((batch, batch_view::imported(&described)))
}

/// What is found stands for the very rows of the preview, in its order and by its threshold.
fn nothing_else(params: &Params) -> Result<(), ToolError> {
    let given = [
        ("tracks", params.tracks.is_some()),
        ("export", params.export.is_some()),
        ("file", params.file.is_some()),
        ("source_playlist", params.source_playlist.is_some()),
        ("match_threshold", params.match_threshold.is_some()),
        ("order", params.order != Order::Source),
        ("dry_run", params.dry_run),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        Some((field, _)) => Err(ToolError::invalid(
            field,
            "was given together with from_preview",
            ALONE,
        )),
        None => Ok(()),
    }
}

/// The rows of the preview, page by page as it had them.
async fn pages(
    client: &Client,
    preview_id: &str,
    count: u32,
) -> Result<Vec<SourcePage>, ToolError> {
    let numbers: Vec<u32> = (0..count.div_ceil(ROWS_A_PAGE as u32)).collect();
    let mut tracks: Vec<SourceTrack> = Vec::new();
    for some in numbers.chunks(AT_A_TIME) {
        let read = some
            .iter()
            .map(|&page| report::rows_of(client, preview_id, page));
        let read = try_join_all(read).await?;
        tracks.extend(read.into_iter().flatten().map(|row| row.source));
    }
    rows::paged(&tracks)
}
