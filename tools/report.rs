//! The report of a batch: every row of the source, what it was matched to, or why not.

use schemars::JsonSchema;
use segue_workflows::{
    batch::{Counts, Fate, Found, Packed, Pick, Picks, ROWS_A_PAGE, Row},
    batch_page::BatchPage,
    batch_sync::BatchSync,
    error::SyncError,
    imports::UnreadableRow,
    matching::MatchMethod,
    names, standing,
    sync::SyncStatus,
    track::SourceTrack,
};
use serde::Serialize;
use temporalio_client::{
    Client, WorkflowExecutionDescription, WorkflowExecutionStatus as EngineStatus,
    WorkflowGetResultOptions, WorkflowQueryOptions,
};

use crate::{
    batch_view::{self, Ended},
    error::ToolError,
};

/// One row of the source, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ReportRow {
    /// Its number in the source, from 1.
    pub row: u32,
    /// The line of the export on which it stands, from 1; of XML and JSON its place in the playlist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The title as the source spells it.
    pub title: String,
    /// The artist as the source spells it.
    pub artist: String,
    /// The album as the source spells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub album: Option<String>,
    /// The ISRC that the source gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isrc: Option<String>,
    /// What became of it.
    pub outcome: Fate,
    /// The track it was matched to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matched: Option<ReportedMatch>,
    /// Of a row without a certain match: what it could be, the best first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<ReportedMatch>,
    /// Why it came to this, where the outcome alone does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A track of Spotify's in a report.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ReportedMatch {
    /// Spotify's id.
    pub spotify_track_id: String,
    /// Spotify's URI.
    pub spotify_track_uri: String,
    /// The title as Spotify spells it.
    pub title: String,
    /// The artists as Spotify spells them.
    pub artists: String,
    /// The album.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub album: Option<String>,
    /// How sure the match is, 0.0 to 1.0.
    pub confidence_score: f64,
    /// How it was found.
    pub match_method: MatchMethod,
}

/// A whole report.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The batch.
    pub sync_id: String,
    /// Where it stands.
    pub status: SyncStatus,
    /// How many rows came to what.
    pub counts: Counts,
    /// The rows that are done, in the order in which they went to the playlist; of a batch that has
    /// ended all of them.
    pub rows: Vec<ReportRow>,
    /// Of an export: the rows that could not be read, and so are no part of the batch.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<UnreadableRow>,
    /// How many more there are than are listed.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_unreadable: u32,
}

impl From<&Pick> for ReportedMatch {
    fn from(pick: &Pick) -> Self {
        let track = &pick.track;
        Self {
            spotify_track_id: track.id.clone(),
            spotify_track_uri: track.uri.clone(),
            title: track.title.clone(),
            artists: track.artists.join(", "),
            album: track.album.clone(),
            confidence_score: pick.confidence_score,
            match_method: pick.match_method,
        }
    }
}

/// What a report is made of.
pub(crate) struct Sources {
    pub(crate) status: SyncStatus,
    pub(crate) counts: Counts,
    /// What became of the rows of each page that is done, a letter each.
    fates: Vec<String>,
    page_errors: Vec<(u32, SyncError)>,
    /// The playlist, once it is found or made and the batch has ended.
    pub(crate) playlist_id: Option<String>,
    reversed: bool,
    ended: bool,
    /// The tracks that the user chose for rows.
    chosen: Picks,
    /// On which lines of the export the rows of the source stand, if that is known.
    lines: Vec<u32>,
    /// The rows of the export that could not be read.
    pub(crate) unreadable: Vec<UnreadableRow>,
    /// How many more there are.
    pub(crate) more_unreadable: u32,
}

impl Sources {
    /// Reads how far the batch is.
    pub(crate) async fn of(
        client: &Client,
        sync_id: &str,
        described: &WorkflowExecutionDescription,
    ) -> Result<Self, ToolError> {
        let mut sources = Self::of_batch(client, sync_id, described).await?;
        if let Some(imported) = batch_view::imported(described) {
            let unreadable = |error| ToolError::engine_failed("read what was imported", &error);
            sources.lines = imported.lines().map_err(unreadable)?;
            sources.unreadable = imported.rows().map_err(unreadable)?;
            let listed = u32::try_from(sources.unreadable.len()).unwrap_or(u32::MAX);
            sources.more_unreadable = imported.unreadable.saturating_sub(listed);
        }
        Ok(sources)
    }

    async fn of_batch(
        client: &Client,
        sync_id: &str,
        described: &WorkflowExecutionDescription,
    ) -> Result<Self, ToolError> {
        let open = matches!(
            described.status(),
            EngineStatus::Running | EngineStatus::Paused
        );
        if open {
            let standing = standing::of_open_batch(client, described)
                .await
                .map_err(|error| ToolError::engine_failed("look at the batch", &error))?;
            let progress = standing.progress.as_ref();
            let mut chosen = Picks::default();
            for (page, _) in (0..).zip(&standing.fates) {
                let picks = described.memo().get(&names::chosen_memo(page));
                chosen.extend(picks.ok().flatten().unwrap_or_default());
            }
            return Ok(Self {
                status: progress.map_or(SyncStatus::Running, |progress| progress.status),
                counts: progress.map(|progress| progress.counts).unwrap_or_default(),
                fates: standing.fates,
                page_errors: Vec::new(),
                playlist_id: None,
                reversed: progress.is_some_and(|progress| progress.reversed),
                ended: false,
                chosen,
                lines: Vec::new(),
                unreadable: Vec::new(),
                more_unreadable: 0,
            });
        }
        let (status, outcome) = match batch_view::outcome_of(client, sync_id).await? {
            Ended::With(status, outcome) => (status, outcome),
            Ended::Failed(failed) => (SyncStatus::Failed, failed.outcome),
            Ended::Broken(message) => {
                return Err(ToolError::wrong_state(
                    sync_id,
                    format!("The batch was ended by the engine: {message}."),
                    batch_view::START_AGAIN,
                ));
            }
        };
        let letters: Vec<char> = outcome.fates.chars().collect();
        Ok(Self {
            status,
            counts: outcome.counts,
            fates: letters
                .chunks(ROWS_A_PAGE)
                .map(|page| page.iter().collect())
                .collect(),
            page_errors: outcome.page_errors,
            playlist_id: Some(outcome.playlist_id).filter(|id| !id.is_empty()),
            reversed: outcome.reversed,
            ended: true,
            chosen: outcome.chosen,
            lines: Vec::new(),
            unreadable: Vec::new(),
            more_unreadable: 0,
        })
    }

    /// The rows of a page that is done, counted from 0; none if it is not.
    pub(crate) async fn page(
        &self,
        client: &Client,
        sync_id: &str,
        page: u32,
    ) -> Result<Option<Vec<ReportRow>>, ToolError> {
        let Some(fates) = self.fates.get(page as usize) else {
            return Ok(None);
        };
        let rows = rows_of(client, sync_id, page).await?;
        let error = self.page_errors.iter().find(|(failed, _)| *failed == page);
        let error = error.map(|(_, error)| error);
        let first = page * ROWS_A_PAGE as u32;
        Ok(Some(
            (first..)
                .zip(rows)
                .zip(fates.chars())
                .map(|((place, row), fate)| self.row(place, row, Fate::of_letter(fate), error))
                .collect(),
        ))
    }

    /// Every row that there is something to say of.
    pub(crate) async fn whole(
        &self,
        client: &Client,
        sync_id: &str,
    ) -> Result<Vec<ReportRow>, ToolError> {
        let mut rows = Vec::new();
        for page in 0..self.fates.len() {
            rows.extend(
                self.page(client, sync_id, page as u32)
                    .await?
                    .unwrap_or_default(),
            );
        }
        if self.ended && self.counts.pending > 0 {
            for source in never_reached(client, sync_id).await? {
                let place = rows.len() as u32;
                let row = Row {
                    source,
                    found: Found::Nothing,
                };
                rows.push(self.row(place, row, Fate::Pending, None));
            }
        }
        Ok(rows)
    }

    /// The first rows of which the user may ask why they are not in the playlist, this many at most. Pages
    /// without one are not read.
    pub(crate) async fn missing(
        &self,
        client: &Client,
        sync_id: &str,
        most: usize,
    ) -> Result<Vec<ReportRow>, ToolError> {
        let is_missing = |fate: Fate| match fate {
            Fate::Uncertain
            | Fate::WaitingForReview
            | Fate::Declined
            | Fate::NotFound
            | Fate::Failed
            | Fate::TakenOut => true,
            // Its turn will not come any more.
            Fate::Pending => self.ended,
            _ => false,
        };
        let mut missing = Vec::new();
        for (page, fates) in (0..).zip(&self.fates) {
            if missing.len() >= most {
                break;
            }
            if fates.chars().map(Fate::of_letter).any(is_missing) {
                let rows = self.page(client, sync_id, page).await?.unwrap_or_default();
                missing.extend(rows.into_iter().filter(|row| is_missing(row.outcome)));
            }
        }
        let done: usize = self.fates.iter().map(|page| page.chars().count()).sum();
        let done = done as u32;
        if self.ended && missing.len() < most && done < self.counts.total {
            for (place, source) in (done..).zip(never_reached(client, sync_id).await?) {
                let row = Row {
                    source,
                    found: Found::Nothing,
                };
                missing.push(self.row(place, row, Fate::Pending, None));
            }
        }
        missing.truncate(most);
        Ok(missing)
    }

    /// The rows that a retry is for: those that failed, were taken out again, or never had their turn.
    pub(crate) async fn left(
        &self,
        client: &Client,
        sync_id: &str,
    ) -> Result<Vec<SourceTrack>, ToolError> {
        let again = |letter: char| {
            matches!(
                Fate::of_letter(letter),
                Fate::Failed | Fate::TakenOut | Fate::Pending
            )
        };
        let mut left = Vec::new();
        for (page, fates) in (0..).zip(&self.fates) {
            if !fates.contains(again) {
                continue;
            }
            let rows = rows_of(client, sync_id, page).await?.into_iter();
            let rows = rows.zip(fates.chars()).filter(|(_, fate)| again(*fate));
            left.extend(rows.map(|(row, _)| row.source));
        }
        if self.ended {
            left.extend(never_reached(client, sync_id).await?);
        }
        Ok(left)
    }

    fn row(&self, place: u32, row: Row, outcome: Fate, page: Option<&SyncError>) -> ReportRow {
        let number = match self.reversed {
            true => self.counts.total.saturating_sub(place),
            false => place + 1,
        };
        let undecided = matches!(
            outcome,
            Fate::Uncertain | Fate::WaitingForReview | Fate::Declined | Fate::Pending
        );
        let (matched, candidates) = match (self.chosen.get(place), &row.found) {
            (Some(pick), _) | (None, Found::Match(pick)) => {
                (Some(ReportedMatch::from(pick)), Vec::new())
            }
            (None, Found::Unsure(picks)) if undecided => {
                (None, picks.iter().map(ReportedMatch::from).collect())
            }
            // Taken all the same, because that was asked for.
            (None, Found::Unsure(picks)) => (picks.first().map(ReportedMatch::from), Vec::new()),
            (None, _) => (None, Vec::new()),
        };
        let reason = match (&row.found, outcome) {
            (Found::Failed(error), _) => Some(error.to_string()),
            (_, Fate::Failed) => page.map(ToString::to_string),
            (_, Fate::AlreadyThereAsAnother) => {
                Some("the same song is in the playlist under another id".to_owned())
            }
            (Found::Unsure(picks), Fate::Uncertain) => Some(uncertain(picks)),
            (_, Fate::WaitingForReview) => Some("waiting for review_match".to_owned()),
            (_, Fate::Declined) => Some("the user said that none of these is it".to_owned()),
            (Found::Repeated, _) => Some("the same row stands before it".to_owned()),
            (_, Fate::Repeated) => Some("another row before it came to the same song".to_owned()),
            _ => None,
        };
        let SourceTrack {
            title,
            artist,
            album,
            isrc,
            ..
        } = row.source;
        let place = (number as usize).checked_sub(1);
        ReportRow {
            row: number,
            line: place.and_then(|place| self.lines.get(place).copied()),
            title,
            artist,
            album,
            isrc,
            outcome,
            matched,
            candidates,
            reason,
        }
    }
}

fn uncertain(picks: &[Pick]) -> String {
    match picks {
        [first, second, ..] if first.confidence_score - second.confidence_score < 0.005 => {
            "two recordings fit equally well".to_owned()
        }
        [first, ..] => format!(
            "the best candidate scored {:.2}, which is below the threshold",
            first.confidence_score
        ),
        [] => "no candidate".to_owned(),
    }
}

pub(crate) async fn rows_of(
    client: &Client,
    sync_id: &str,
    page: u32,
) -> Result<Vec<Row>, ToolError> {
    let handle = client.get_workflow_handle::<BatchPage>(names::page_id(sync_id, page));
    let found = handle
        .get_result(WorkflowGetResultOptions::default())
        .await
        .map_err(|error| ToolError::engine_failed("read a page of the report", &error))?;
    unpacked(&found.rows)
}

/// The rows of an ended batch whose page was not done.
async fn never_reached(client: &Client, sync_id: &str) -> Result<Vec<SourceTrack>, ToolError> {
    let handle = client.get_workflow_handle::<BatchSync>(sync_id);
    let pages = handle
        .query(BatchSync::pages_left, (), WorkflowQueryOptions::default())
        .await
        .map_err(|error| ToolError::engine_failed("read the rows that are left", &error))?;
    let mut rows = Vec::new();
    for page in &pages {
        rows.extend(unpacked(page)?);
    }
    Ok(rows)
}

fn unpacked<T: Serialize + serde::de::DeserializeOwned>(
    packed: &Packed<T>,
) -> Result<T, ToolError> {
    packed
        .unpack()
        .map_err(|error| ToolError::engine_failed("read the rows of the batch", &error))
}

/// The report as a table for a spreadsheet. Rows that could not be read follow the others, as they are
/// written.
pub(crate) fn as_csv(
    rows: &[ReportRow],
    unreadable: &[UnreadableRow],
    more_unreadable: u32,
) -> Result<String, csv::Error> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record([
        "row",
        "line",
        "title",
        "artist",
        "album",
        "isrc",
        "outcome",
        "spotify_track_uri",
        "matched_title",
        "matched_artists",
        "matched_album",
        "confidence_score",
        "match_method",
        "reason",
    ])?;
    for row in rows {
        let best = row.matched.as_ref().or(row.candidates.first());
        let of_best = |text: fn(&ReportedMatch) -> String| best.map(text).unwrap_or_default();
        let optional = |text: &Option<String>| text.clone().unwrap_or_default();
        let cells = [
            row.row.to_string(),
            row.line.map(|line| line.to_string()).unwrap_or_default(),
            row.title.clone(),
            row.artist.clone(),
            optional(&row.album),
            optional(&row.isrc),
            word(&row.outcome),
            of_best(|best| best.spotify_track_uri.clone()),
            of_best(|best| best.title.clone()),
            of_best(|best| best.artists.clone()),
            of_best(|best| best.album.clone().unwrap_or_default()),
            of_best(|best| best.confidence_score.to_string()),
            of_best(|best| word(&best.match_method)),
            optional(&row.reason),
        ];
        table.write_record(cells.map(harmless))?;
    }
    let line = |row: &UnreadableRow| (row.line.to_string(), row.text.clone(), row.reason.clone());
    let more = (more_unreadable > 0).then(|| {
        let reason = format!("{more_unreadable} more rows could not be read.");
        (String::new(), String::new(), reason)
    });
    for (line, text, reason) in unreadable.iter().map(line).chain(more) {
        let mut cells: [String; 14] = Default::default();
        (cells[1], cells[2]) = (line, text);
        (cells[6], cells[13]) = ("unreadable".to_owned(), reason);
        table.write_record(cells.map(harmless))?;
    }
    let bytes = table.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde asks for"
)]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

/// A cell that a spreadsheet would take for a formula, made text: titles come from strangers.
fn harmless(cell: String) -> String {
    match cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{cell}"),
        false => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_keeps_its_columns_and_holds_no_formula() {
        let row = ReportRow {
            row: 1,
            line: Some(2),
            title: "=HYPERLINK(\"http://evil\"), \"quoted\"\nand more".into(),
            artist: "Tyler, The Creator".into(),
            album: None,
            isrc: None,
            outcome: Fate::NotFound,
            matched: None,
            candidates: Vec::new(),
            reason: None,
        };
        let unreadable = UnreadableRow {
            line: 3,
            playlist: None,
            text: "=1+1;;".into(),
            reason: "It has no title.".into(),
        };
        let table = as_csv(&[row], &[unreadable], 7).expect("a table");
        let mut read = csv::Reader::from_reader(table.as_bytes());
        let rows: Vec<csv::StringRecord> = read.records().map(|row| row.expect("a row")).collect();
        assert_eq!(rows.len(), 3);
        assert_eq!((&rows[0][0], &rows[0][1]), ("1", "2"));
        assert!(rows[0][2].starts_with("'=HYPERLINK"), "{}", &rows[0][2]);
        assert_eq!(&rows[0][3], "Tyler, The Creator");
        assert_eq!(&rows[0][6], "not_found");
        assert_eq!((&rows[1][1], &rows[1][2]), ("3", "'=1+1;;"));
        assert_eq!(
            (&rows[1][6], &rows[1][13]),
            ("unreadable", "It has no title.")
        );
        assert!(rows[2][13].starts_with("7 more"), "{}", &rows[2][13]);
    }
}
