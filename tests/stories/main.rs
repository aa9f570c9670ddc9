//! Segue from end to end: real processes, a real engine, real MCP, and a simulated Spotify. Each
//! file is a story that a user could tell.

#![expect(clippy::unwrap_used, reason = "a failed test should panic")]
#![expect(clippy::print_stdout, reason = "figures, shown with --nocapture")]

mod app_host;
mod assistant;
mod browser;
mod chromium;
mod guide_steps;
mod installed;
mod issuer;
mod metrics_load;
#[path = "../npm/mod.rs"]
mod npm;
mod prometheus;
mod prometheus_page;
mod raw_http;
mod receiver;
mod scripted_agents;
mod scripted_model;
mod stand_in;
#[path = "../conformance/suite.rs"]
mod suite;
mod support;
mod webhook_receiver;

mod agents;
mod bad_input;
mod balanced;
mod balancer;
mod batches;
mod batches_among_others;
mod batches_in_bulk;
mod bench;
mod bundle;
mod cancelling;
mod compare;
mod conformance;
mod containers;
mod dashboards;
mod dead_letters;
mod demo;
mod doctor;
mod foreign_upstream;
mod guides;
mod guides_http;
mod history_replay;
mod http;
mod http_places;
mod http_safety;
mod imports;
mod injections;
mod kills;
mod lies;
mod lines_of_the_log;
mod machines;
mod manifest;
mod matching_quality;
mod metrics;
mod model;
mod model_dialects;
mod model_streams;
mod one_song;
mod outage;
mod previews;
mod prompts;
mod protocol;
mod python_client;
mod rate_limit;
mod refused_ends;
mod resources;
mod reviews;
mod scaling;
mod schedules;
mod sealed;
mod secrets;
mod sign_in;
mod tasks;
mod torture;
mod traces;
mod two_assistants;
mod two_users;
mod typescript_client;
mod versions;
mod view;
mod view_as_page;
mod view_for_everybody;
mod walks_at_once;
mod watching;
mod webhooks;
