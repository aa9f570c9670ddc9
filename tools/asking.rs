//! Asking the user in place, through the client, where that can be done.
//!
//! Up to 2025-11-25 the server sends a request of its own while the call is open. Since 2026-07-28 it
//! answers the call with the question, and the client calls again with the user's answer; what the call
//! was about goes along as its state.

use std::time::Duration;

use futures::future::join_all;
use rmcp::{
    RoleServer,
    model::{
        CallToolRequestParams, ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction,
        ElicitationSchema, EnumSchema, InputRequest, InputRequests, InputRequiredResult,
        InputResponses, JsonObject, ProtocolVersion,
    },
    service::RequestContext,
};
use segue_workflows::review::ReviewAnswer;
use serde_json::Value;
use temporalio_client::Client;

use crate::{
    Segue,
    error::ToolError,
    review_match,
    review_view::{self, CandidateView, ReviewView},
};

/// Answers that a call may bring: as many as one asks about at a time.
const MOST_ANSWERS: usize = 10;

/// The one field of the form.
const CHOICE: &str = "choice";

/// What came of asking.
pub(crate) enum Asked {
    /// The user has answered.
    Answer(ReviewAnswer),
    /// The call is to be answered with this question.
    Required(InputRequiredResult),
    /// The client cannot ask, or the user did not answer.
    Nothing,
}

/// Whether the client can show a form to its user.
pub(crate) fn can_ask(context: &RequestContext<RoleServer>) -> bool {
    let capabilities = context.client_capabilities().unwrap_or_default();
    capabilities.elicitation.is_some_and(|elicitation| {
        // Before there were modes, a form was all there was.
        elicitation.form.is_some() || elicitation.url.is_none()
    })
}

/// Whether the question is the answer of the call, and the user's answer another call.
pub(crate) fn asks_by_answering(context: &RequestContext<RoleServer>) -> bool {
    let version = context.protocol_version();
    version.is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
}

/// Asks about one review; in place, it waits for the user for so long.
pub(crate) async fn ask(
    context: &RequestContext<RoleServer>,
    review: &ReviewView,
    time: Duration,
) -> Asked {
    if !can_ask(context) {
        return Asked::Nothing;
    }
    if asks_by_answering(context) {
        return questions(std::slice::from_ref(review), None)
            .map_or(Asked::Nothing, Asked::Required);
    }
    // A session's answers come by themselves, and behind a balancer to a process that may have asked about
    // something else: each says what it is about.
    let about = format!("{}:", review.review_id);
    let Some(question) = question(review, &about) else {
        return Asked::Nothing;
    };
    let asked = context
        .peer
        .create_elicitation_with_timeout(question, Some(time))
        .await;
    match asked
        .ok()
        .and_then(|result| answer(&result, review, &about))
    {
        Some(answer) => Asked::Answer(answer),
        None => Asked::Nothing,
    }
}

/// The answer of a call that asks about these reviews. `state` comes back with the user's answers.
/// There is none if no review can be asked about.
pub(crate) fn questions(
    reviews: &[ReviewView],
    state: Option<String>,
) -> Option<InputRequiredResult> {
    requests(reviews).map(|asked| InputRequiredResult::new(Some(asked), state))
}

/// What the client is to ask about these reviews, each under the id of its review; nothing if no review can
/// be asked about.
pub(crate) fn requests(reviews: &[ReviewView]) -> Option<InputRequests> {
    let asked = reviews.iter().filter_map(|review| {
        let question = ElicitRequest::new(question(review, "")?);
        Some((
            review.review_id.clone(),
            InputRequest::Elicitation(question),
        ))
    });
    let asked: InputRequests = asked.collect();
    (!asked.is_empty()).then_some(asked)
}

/// What the user said about this review, of a call that brings answers; nothing if they did not say.
pub(crate) fn answer_of(responses: &InputResponses, review: &ReviewView) -> Option<ReviewAnswer> {
    let response = responses.get(&review.review_id)?;
    let result: ElicitResult = serde_json::from_value(response.clone()).ok()?;
    // It has come under the id of the review.
    answer(&result, review, "")
}

fn answer(result: &ElicitResult, review: &ReviewView, about: &str) -> Option<ReviewAnswer> {
    if result.action != ElicitationAction::Accept {
        return None;
    }
    let choice = choice(result)?.strip_prefix(about)?;
    review_match::parse(choice, review).ok()
}

/// What was filled in for the one field of the form.
pub(crate) fn choice(result: &ElicitResult) -> Option<&str> {
    result.content.as_ref()?.get(CHOICE)?.as_str()
}

/// The form, each of whose values begins with what it is about.
fn question(review: &ReviewView, about: &str) -> Option<ElicitRequestParams> {
    let mut values: Vec<String> = review
        .candidates
        .iter()
        .map(|candidate| format!("{about}{}", candidate.track.spotify_track_id))
        .collect();
    let mut titles: Vec<String> = review.candidates.iter().map(title).collect();
    values.push(format!("{about}{}", review_match::NONE));
    titles.push("None of these".to_owned());
    let choice = EnumSchema::builder(values)
        .enum_titles(titles)
        .ok()?
        .build();
    let requested_schema = ElicitationSchema::builder()
        .required_enum_schema(CHOICE, choice)
        .build()
        .ok()?;
    let album = review
        .album
        .as_ref()
        .map(|album| format!(" from \"{album}\""));
    let length = review.duration_ms.map(|ms| format!(" ({})", length(ms)));
    Some(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: format!(
            "Which track is \"{}\" by {}{}{}?",
            review.title,
            review.artist,
            album.unwrap_or_default(),
            length.unwrap_or_default(),
        ),
        requested_schema,
    })
}

fn title(candidate: &CandidateView) -> String {
    let track = &candidate.track;
    let mut parts = vec![format!("{} by {}", track.title, track.artists)];
    parts.extend(track.album.as_ref().map(|album| format!("\"{album}\"")));
    parts.extend(candidate.duration_ms.map(length));
    let named = parts.join(", ");
    match candidate.differs.is_empty() {
        true => named,
        false => format!("{named} [{}]", candidate.differs.join("; ")),
    }
}

fn length(ms: u32) -> String {
    let seconds = ms / 1000;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// A call that comes again after a question: the user's answers are given to their reviews, and what is
/// left to do is to go on waiting for the sync that the call had started, which its state names, or to
/// answer for its review. It never starts anything anew.
pub(crate) async fn resumed(
    segue: &Segue,
    mut request: CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolRequestParams, ToolError> {
    let (responses, state) = (request.input_responses.take(), request.request_state.take());
    if responses.is_none() && state.is_none() {
        return Ok(request);
    }
    let responses = responses.unwrap_or_default();
    let engine = segue.engine().ready(context).await?;
    let given = responses.keys().take(MOST_ANSWERS).map(|review_id| {
        let (client, user_id) = (&engine.client, segue.user_id());
        give(client, user_id, review_id, &responses)
    });
    let given: Vec<Result<bool, ToolError>> = join_all(given).await;
    let answered_all = given.iter().all(|given| *given == Ok(true));
    let Some(sync_id) = state else {
        // The question was that of review_match itself: what was decided is what it answers.
        for given in given {
            if !given? {
                return Err(ToolError::not_answered());
            }
        }
        return Ok(request);
    };
    // An answer that came too late keeps no other back: where the sync stands says what was decided.
    let asked = request.arguments.take().unwrap_or_default();
    let mut arguments = JsonObject::from_iter([("sync_id".to_owned(), Value::from(sync_id))]);
    // Who closes the question wants to be left alone.
    if let Some(wait) = asked.get("wait_seconds").filter(|_| answered_all) {
        arguments.insert("wait_seconds".to_owned(), wait.clone());
    }
    request.name = "get_sync_progress".into();
    request.arguments = Some(arguments);
    Ok(request)
}

/// Gives a review what the user said about it; whether they said anything.
async fn give(
    client: &Client,
    user_id: &str,
    review_id: &str,
    responses: &InputResponses,
) -> Result<bool, ToolError> {
    let described = review_view::describe(client, user_id, review_id).await?;
    let review = review_view::of(&described);
    let Some((review, answer)) =
        review.and_then(|review| answer_of(responses, &review).map(|answer| (review, answer)))
    else {
        return Ok(false);
    };
    review_match::deliver(client, &review, answer).await?;
    Ok(true)
}
