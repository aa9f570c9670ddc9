//! What sets a version of a song apart from its usual recording.
//!
//! The rule behind the list: another *recording* (live, karaoke, a remix by somebody) is another
//! piece of music; another *cut* (the single, mono) is the same music in another wrapping.

/// What sets a version apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Played before an audience, or in a session.
    Live,
    /// Made to sing along to.
    Karaoke,
    /// Played by somebody else: a cover or a tribute.
    Cover,
    /// Remade by somebody whom the words around it name.
    Remix,
    /// A version with a name of its own ("Taylor's Version", "Spanish Version").
    Named,
    /// Without the voice.
    Instrumental,
    /// Nothing but the voice.
    ACappella,
    /// With acoustic instruments.
    Acoustic,
    /// With an orchestra.
    Orchestral,
    /// A sketch.
    Demo,
    /// Played faster.
    SpedUp,
    /// Played slower.
    Slowed,
    /// Recorded again later.
    Rerecorded,
    /// Another take or mix, a reprise, a medley.
    Alternate,
    /// Longer than the usual cut.
    Extended,
    /// Talk about the song.
    Commentary,
    /// Shortened for the radio or a video.
    RadioEdit,
    /// As on the single.
    Single,
    /// Mixed to one channel.
    Mono,
    /// Mixed to two channels.
    Stereo,
    /// Without swear words.
    Clean,
}

impl Kind {
    /// Whether this is the same recording, cut or pressed otherwise.
    pub(super) fn is_cut(self) -> bool {
        matches!(
            self,
            Kind::RadioEdit | Kind::Single | Kind::Mono | Kind::Stereo | Kind::Clean
        )
    }

    /// The word for it in an explanation.
    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::Live => "live",
            Kind::Karaoke => "karaoke",
            Kind::Cover => "cover",
            Kind::Remix => "remix",
            Kind::Named => "named version",
            Kind::Instrumental => "instrumental",
            Kind::ACappella => "a cappella",
            Kind::Acoustic => "acoustic",
            Kind::Orchestral => "orchestral",
            Kind::Demo => "demo",
            Kind::SpedUp => "sped up",
            Kind::Slowed => "slowed",
            Kind::Rerecorded => "re-recorded",
            Kind::Alternate => "alternate take",
            Kind::Extended => "extended",
            Kind::Commentary => "commentary",
            Kind::RadioEdit => "radio edit",
            Kind::Single => "single version",
            Kind::Mono => "mono",
            Kind::Stereo => "stereo",
            Kind::Clean => "clean",
        }
    }

    /// What it costs when one side is this cut and the other does not say. A radio edit is often
    /// minutes shorter; the rest is heard by few.
    pub(super) fn cut_factor(self) -> f64 {
        match self {
            Kind::RadioEdit => 0.90,
            Kind::Mono => 0.96,
            _ => 0.98,
        }
    }
}
