//! Whatever arguments a client sends are accepted, or refused in a few plain words.
//!
//! The first byte chooses the tool; the rest is the arguments, as JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use segue_tools::border::{TOOLS, accept};
use segue_workflows::upstream::clean;

fuzz_target!(|data: &[u8]| {
    let Some((tool, arguments)) = data.split_first() else {
        return;
    };
    let tool = TOOLS[usize::from(*tool) % TOOLS.len()];
    // A client may also send what is no object; rmcp refuses that before any tool sees it.
    let Ok(arguments) = serde_json::from_slice::<serde_json::Value>(arguments) else {
        return;
    };
    match accept(tool, arguments) {
        Ok(accepted) => assert!(accepted.len() <= 20_000, "{} bytes", accepted.len()),
        Err(error) => {
            assert_eq!(error.code, "invalid_argument");
            assert!(clean(&error.message) == error.message, "{error:?}");
        }
    }
});
