//! `review_match`: the user's word about a track whose match is uncertain.

use std::time::Duration;

use rmcp::{
    RoleServer,
    handler::server::common::{schema_for_output, schema_for_type},
    service::RequestContext,
    tool, tool_router,
};
use schemars::JsonSchema;
use segue_workflows::{
    review::{DecidedBy, Review, ReviewAnswer, Verdict},
    track::spotify_id,
};
use serde::{Deserialize, Serialize};
use temporalio_client::{
    Client, WorkflowExecuteUpdateOptions, WorkflowExecutionStatus, WorkflowGetResultOptions,
};

use crate::{
    Segue,
    answer::{Answer, Reply},
    args::Args,
    asking::{self, Asked},
    error::ToolError,
    report::ReportedMatch,
    review_view::{self, ReviewView},
    text,
    view::{self, SyncView},
};

/// Time that the user has to answer in place, where the client can ask: less than the 60 s after which
/// assistants drop a call. After that the review waits on.
const TIME_TO_ANSWER: Duration = Duration::from_secs(45);
/// Characters of a choice: room for a link.
const LONGEST_CHOICE: usize = 300;
/// What stands for none of the candidates.
pub(crate) const NONE: &str = "none";

const ALLOWED: &str = "the number of a candidate, its Spotify id, the link of another track on \
                       Spotify, or \"none\"";

/// What `review_match` is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// The id of the review, as list_reviews shows it.
    pub review_id: String,
    /// What the user says: the number of a candidate, from 1; or its Spotify id; or the id, URI or
    /// link of any other track on Spotify; or "none" if none of the candidates is it. Left out: the
    /// user is asked in place, if the client can do that.
    #[serde(default)]
    pub choice: Option<String>,
}

/// What was decided.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Output {
    /// The review.
    pub review_id: String,
    /// Who decided.
    pub decided_by: DecidedBy,
    /// The track that was chosen; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen: Option<ReportedMatch>,
    /// Where the sync stands that had asked.
    pub sync: SyncView,
}

#[tool_router(router = review_match_router, vis = "pub(crate)")]
impl Segue {
    /// Answers a review with what the user says: which candidate is the track, or another track of
    /// Spotify's, or none. The sync goes on with it, and the answer is remembered: the same track is
    /// not asked about again. Never choose for the user.
    #[tool(
        title = "Answer a review",
        input_schema = schema_for_type::<Params>(),
        output_schema = schema_for_output::<Output>(),
        annotations(
            title = "Answer a review",
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    pub(crate) async fn review_match(
        &self,
        Args(params): Args<Params>,
        context: RequestContext<RoleServer>,
    ) -> Result<Reply<Output>, ToolError> {
        let given = text::optional("choice", params.choice.as_deref(), LONGEST_CHOICE)?;
        let engine = self.engine().ready(&context).await?;
        let (client, user_id, review_id) = (&engine.client, self.user_id(), params.review_id);
        let described = review_view::describe(client, user_id, &review_id).await?;
        let Some(review) = review_view::of(&described) else {
            return Err(ToolError::not_yet("The review has only just begun."));
        };
        let is_open = described.status() == WorkflowExecutionStatus::Running;
        let verdict = match given.as_deref() {
            Some(choice) if is_open => deliver(client, &review, parse(choice, &review)?).await?,
            Some(choice) => decided(client, &review, &parse(choice, &review)?).await?,
            None if is_open => match asking::ask(&context, &review, TIME_TO_ANSWER).await {
                Asked::Answer(answer) => deliver(client, &review, answer).await?,
                Asked::Required(question) => return Ok(Reply::Ask(question)),
                Asked::Nothing => {
                    return Err(ToolError::invalid("choice", "is missing", ALLOWED));
                }
            },
            None => verdict(client, &review_id).await?,
        };
        let sync = view::read(client, user_id, &review.sync_id).await?;
        let chosen = verdict.pick.as_ref().map(ReportedMatch::from);
        let sentence = match &chosen {
            Some(track) => format!(
                "\"{}\" by {} is taken to be \"{}\" by {}. {}",
                review.title, review.artist, track.title, track.artists, sync.message
            ),
            None => {
                let why = match verdict.decided_by {
                    DecidedBy::User => "None of the candidates is",
                    DecidedBy::Deadline => "Nobody said in time which track is",
                    DecidedBy::Withdrawn => "The sync ended before it was said which track is",
                };
                format!(
                    "{why} \"{}\" by {}: it is left out. {}",
                    review.title, review.artist, sync.message
                )
            }
        };
        Ok(Reply::Answer(Answer {
            sentence: sentence + &engine.note(),
            data: Output {
                review_id,
                decided_by: verdict.decided_by,
                chosen,
                sync,
            },
        }))
    }
}

/// Reads a choice.
pub(crate) fn parse(choice: &str, review: &ReviewView) -> Result<ReviewAnswer, ToolError> {
    if choice.eq_ignore_ascii_case(NONE) {
        return Ok(ReviewAnswer::Nothing);
    }
    if let Ok(number) = choice.parse::<u32>() {
        let mut candidates = review.candidates.iter();
        let chosen = candidates.find(|candidate| candidate.number == number);
        return match chosen {
            Some(candidate) => Ok(ReviewAnswer::Candidate(
                candidate.track.spotify_track_id.clone(),
            )),
            None => Err(ToolError::invalid(
                "choice",
                format!(
                    "is {number}, and there are {} candidates",
                    review.candidates.len()
                ),
                ALLOWED,
            )),
        };
    }
    let Some(id) = spotify_id(choice) else {
        return Err(ToolError::invalid("choice", "is no track", ALLOWED));
    };
    let mut candidates = review.candidates.iter();
    let id = id.to_owned();
    Ok(
        match candidates.any(|known| known.track.spotify_track_id == id) {
            true => ReviewAnswer::Candidate(id),
            false => ReviewAnswer::Track(id),
        },
    )
}

/// Gives the answer to the review, and what came of that; or finds that it was decided meanwhile, and
/// the same.
pub(crate) async fn deliver(
    client: &Client,
    review: &ReviewView,
    answer: ReviewAnswer,
) -> Result<Verdict, ToolError> {
    let handle = client.get_workflow_handle::<Review>(&review.review_id);
    let options = WorkflowExecuteUpdateOptions::default();
    let refused = match handle
        .execute_update(Review::answer, answer.clone(), options)
        .await
    {
        Ok(()) => return decided(client, review, &answer).await,
        Err(refused) => refused,
    };
    match decided(client, review, &answer).await {
        // The decision is known, and says more than the refusal does.
        Err(error) if error.code == "wrong_state" => Err(error),
        Err(_) => Err(ToolError::engine_failed("take the answer", &refused)),
        Ok(verdict) => Ok(verdict),
    }
}

/// What a review that is over came to, if that is this answer.
async fn decided(
    client: &Client,
    review: &ReviewView,
    answer: &ReviewAnswer,
) -> Result<Verdict, ToolError> {
    let verdict = verdict(client, &review.review_id).await?;
    let decided = verdict.pick.as_ref().map(|pick| pick.track.id.as_str());
    let asked_for = match answer {
        ReviewAnswer::Candidate(id) | ReviewAnswer::Track(id) => Some(id.as_str()),
        ReviewAnswer::Nothing => None,
    };
    if verdict.decided_by == DecidedBy::User && decided == asked_for {
        return Ok(verdict);
    }
    let how = match (verdict.decided_by, &verdict.pick) {
        (DecidedBy::User, Some(pick)) => format!("the user chose \"{}\"", pick.track.title),
        (DecidedBy::User, None) => "the user said that none is right".to_owned(),
        (DecidedBy::Deadline, Some(_)) => {
            "its deadline was over, and the best was taken".to_owned()
        }
        (DecidedBy::Deadline, None) => "its deadline was over".to_owned(),
        (DecidedBy::Withdrawn, _) => "the sync ended before".to_owned(),
    };
    Err(ToolError::wrong_state(
        &review.sync_id,
        format!("The review is decided already: {how}."),
        "To decide otherwise, take the answer back with forget_answer, correct the playlist in Spotify \
         and start a new sync of this track.",
    ))
}

/// What came of the review. An answer that was just given is about to be its result.
async fn verdict(client: &Client, review_id: &str) -> Result<Verdict, ToolError> {
    let handle = client.get_workflow_handle::<Review>(review_id);
    let result = handle.get_result(WorkflowGetResultOptions::default());
    match tokio::time::timeout(Duration::from_secs(5), result).await {
        Ok(Ok(verdict)) => Ok(verdict),
        // Its sync was cancelled.
        Ok(Err(temporalio_client::errors::WorkflowGetResultError::Cancelled { .. })) => {
            Ok(Verdict {
                decided_by: DecidedBy::Withdrawn,
                pick: None,
            })
        }
        Ok(Err(error)) => Err(ToolError::engine_failed("read the decision", &error)),
        Err(_) => Err(ToolError::not_yet(
            "The answer is kept, and no worker has taken it up yet.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use segue_workflows::review::AtDeadline;

    use super::*;
    use crate::{report::ReportedMatch, review_view::CandidateView};

    const ID: &str = "0VjIjW4GlUZAMYd2vXMi3b";

    fn review() -> ReviewView {
        let candidate = |number: u32, id: &str| CandidateView {
            number,
            track: ReportedMatch {
                spotify_track_id: id.to_owned(),
                spotify_track_uri: format!("spotify:track:{id}"),
                title: "Halo".into(),
                artists: "Beyoncé".into(),
                album: None,
                confidence_score: 0.8,
                match_method: segue_workflows::matching::MatchMethod::Fuzzy,
            },
            duration_ms: None,
            differs: Vec::new(),
        };
        ReviewView {
            review_id: "review-1".into(),
            sync_id: "sync-1".into(),
            row: None,
            title: "Halo".into(),
            artist: "Beyoncé".into(),
            album: None,
            duration_ms: None,
            playlist: "Road trip".into(),
            candidates: vec![candidate(1, ID), candidate(2, "4uLU6hMCjMI75M1A2tKUQC")],
            deadline: jiff::Timestamp::UNIX_EPOCH,
            at_deadline: AtDeadline::Skip,
        }
    }

    #[test]
    fn a_choice_is_a_number_an_id_a_link_or_none() {
        let candidate = ReviewAnswer::Candidate(ID.into());
        let other = "1301WleyT98MSxVHPZCA6M";
        for (choice, expected) in [
            ("1", candidate.clone()),
            (ID, candidate.clone()),
            (
                &format!("https://open.spotify.com/track/{ID}?si=x"),
                candidate,
            ),
            (other, ReviewAnswer::Track(other.into())),
            ("None", ReviewAnswer::Nothing),
        ] {
            assert_eq!(parse(choice, &review()), Ok(expected), "{choice}");
        }
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for choice in [
            "0",
            "3",
            "the first one",
            "spotify:album:0VjIjW4GlUZAMYd2vXMi3b",
            "-1",
        ] {
            let error = parse(choice, &review()).expect_err("refused");
            assert_eq!(error.field, Some("choice"), "{choice}");
        }
    }
}
