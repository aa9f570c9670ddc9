//! One part, checked: what was found, and what mends it.

use serde::Serialize;

/// One part, checked.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    /// Its name, which does not change.
    pub(super) part: &'static str,
    pub(super) state: State,
    pub(super) finding: String,
    /// The command that mends it, or what to do where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mend: Option<String>,
}

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// It works.
    Ok,
    /// It works, and somebody should look after it.
    Attention,
    /// It does not work.
    Broken,
    /// It could not be looked at, because of another part, or it does not exist here.
    NotChecked,
}

impl Check {
    pub(super) fn ok(part: &'static str, finding: impl Into<String>) -> Self {
        Self::new(part, State::Ok, finding, None)
    }

    pub(super) fn attention(
        part: &'static str,
        finding: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self::new(part, State::Attention, finding, Some(mend.into()))
    }

    pub(super) fn broken(
        part: &'static str,
        finding: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self::new(part, State::Broken, finding, Some(mend.into()))
    }

    pub(super) fn not_checked(part: &'static str, why: impl Into<String>) -> Self {
        Self::new(part, State::NotChecked, why, None)
    }

    fn new(
        part: &'static str,
        state: State,
        finding: impl Into<String>,
        mend: Option<String>,
    ) -> Self {
        Self {
            part,
            state,
            finding: finding.into(),
            mend,
        }
    }
}
