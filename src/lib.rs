//! The program.

pub mod engine;
pub mod home;
