//! The durable part of Segue: what must survive a crash lives here.
//!
//! A workflow is a story ([`music_sync`], [`place_track`], [`dead_letter`],
//! [`playlist_reading`]); the activities do its I/O through the [`upstream`] adapter, behind a
//! [`gate`] that all workers keep in step through a workflow of their own ([`call_budget`]); what happens
//! is counted by [`metrics`] and told by [`traces`], and what somebody is to know by a [`notice`]; what is
//! pure ([`matching`], [`imports`]) imports neither Temporal nor MCP.

pub mod activities;
pub mod agent_sync;
mod agents;
pub mod batch;
pub mod batch_page;
pub mod batch_sync;
pub mod call_budget;
pub mod client_session;
pub mod comparison;
pub mod dead_letter;
mod disambiguation;
pub mod error;
pub mod gate;
#[cfg(test)]
mod hostile;
pub mod import_file;
pub mod imports;
pub mod matching;
pub mod metrics;
pub mod model;
pub mod music_sync;
pub mod names;
pub mod notice;
pub mod notices;
pub mod place_page;
pub mod place_track;
pub mod playlist_reading;
pub mod remembered_answer;
pub mod review;
mod run_ends;
pub mod schedule;
pub mod scheduled_sync;
pub mod simple_agent_sync;
pub mod standing;
mod step;
pub mod strategy_comparison;
pub mod sync;
mod sync_agents;
pub mod token_budget;
pub mod traces;
pub mod track;
mod turn;
pub mod upstream;
pub mod versions;
pub mod waking;
pub mod worker;
