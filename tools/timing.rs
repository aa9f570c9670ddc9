//! When a schedule runs, as a call says it, checked at the border. Whether a cron expression and a
//! time zone are right, the engine alone decides, because it is the one that reads them.

use segue_workflows::schedule::{Overlap, Rule, When};

use crate::{error::ToolError, text};

/// The shortest time between two runs, in seconds.
pub(crate) const SHORTEST_INTERVAL: u32 = 10;
/// The longest, and the longest time that a run is made up for: a year.
pub(crate) const LONGEST_INTERVAL: u32 = 365 * 24 * 3600;
/// The shortest time that a run can be made up for: the engine's own bound.
pub(crate) const SHORTEST_CATCH_UP: u32 = 10;
/// The longest jitter: a day.
pub(crate) const LONGEST_JITTER: u32 = 24 * 3600;
/// The time that a run is made up for when nobody says another: a month, because with a laptop the
/// engine rests as well.
const USUAL_CATCH_UP: u32 = 31 * 24 * 3600;
/// The jitter when nobody says another, but no more than a tenth of an interval.
const USUAL_JITTER: u32 = 300;
/// Characters of a cron expression: fields may be long lists.
const LONGEST_CRON: usize = 200;
/// Characters of a time zone's name; the longest there is has 32.
const LONGEST_ZONE: usize = 64;
/// Short forms of a cron expression.
const SHORT_FORMS: [&str; 5] = ["@hourly", "@daily", "@weekly", "@monthly", "@yearly"];

/// What a call says of it; what it leaves out stays as it was, or is as usual.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) cron: Option<String>,
    pub(crate) time_zone: Option<String>,
    pub(crate) interval_seconds: Option<u32>,
    pub(crate) jitter_seconds: Option<u32>,
    pub(crate) catch_up_seconds: Option<u32>,
    pub(crate) overlap: Option<Overlap>,
}

impl Asked {
    /// When the schedule is to run.
    pub(crate) fn checked(&self, before: Option<&When>) -> Result<When, ToolError> {
        let rule = self.rule(before.map(|before| &before.rule))?;
        let usual = match rule {
            Rule::Interval { seconds } => USUAL_JITTER.min(seconds / 10),
            Rule::Cron { .. } => USUAL_JITTER,
        };
        let most = match rule {
            Rule::Interval { seconds } => LONGEST_JITTER.min(seconds),
            Rule::Cron { .. } => LONGEST_JITTER,
        };
        // A jitter that was meant for a day is too much for an hour.
        let alike = |before: &&When| match (&before.rule, &rule) {
            (Rule::Cron { .. }, Rule::Cron { .. }) => true,
            (old, new) => old == new,
        };
        let kept = before.filter(alike).map(|before| before.jitter_seconds);
        let jitter_seconds = self.jitter_seconds.or(kept);
        let catch_up = self.catch_up_seconds;
        let catch_up = catch_up.or(before.map(|before| before.catch_up_seconds));
        let overlap = self.overlap.or(before.map(|before| before.overlap));
        Ok(When {
            jitter_seconds: within("jitter_seconds", jitter_seconds.unwrap_or(usual), 0, most)?,
            catch_up_seconds: within(
                "catch_up_seconds",
                catch_up.unwrap_or(USUAL_CATCH_UP),
                SHORTEST_CATCH_UP,
                LONGEST_INTERVAL,
            )?,
            overlap: overlap.unwrap_or_default(),
            rule,
        })
    }

    fn rule(&self, before: Option<&Rule>) -> Result<Rule, ToolError> {
        let allowed = "either cron, with a time_zone if it is not UTC, or interval_seconds";
        let cron = text::optional("cron", self.cron.as_deref(), LONGEST_CRON)?;
        let zone = text::optional("time_zone", self.time_zone.as_deref(), LONGEST_ZONE)?;
        let zone = zone.map(zone_checked).transpose()?;
        let no_zone = || {
            let problem = "was given, and an interval knows no time of day";
            Err(ToolError::invalid("time_zone", problem, allowed))
        };
        match (cron, self.interval_seconds, before) {
            (Some(_), Some(_), _) => Err(ToolError::invalid(
                "interval_seconds",
                "was given together with cron",
                allowed,
            )),
            (Some(cron), None, before) => Ok(Rule::Cron {
                expression: cron_checked(cron)?,
                time_zone: zone.unwrap_or_else(|| match before {
                    Some(Rule::Cron { time_zone, .. }) => time_zone.clone(),
                    _ => "UTC".to_owned(),
                }),
            }),
            (None, Some(_), _) if zone.is_some() => no_zone(),
            (None, Some(seconds), _) => Ok(Rule::Interval {
                seconds: within(
                    "interval_seconds",
                    seconds,
                    SHORTEST_INTERVAL,
                    LONGEST_INTERVAL,
                )?,
            }),
            (
                None,
                None,
                Some(Rule::Cron {
                    expression,
                    time_zone,
                }),
            ) => Ok(Rule::Cron {
                expression: expression.clone(),
                time_zone: zone.unwrap_or_else(|| time_zone.clone()),
            }),
            (None, None, Some(Rule::Interval { .. })) if zone.is_some() => no_zone(),
            (None, None, Some(rule)) => Ok(rule.clone()),
            (None, None, None) => Err(ToolError::invalid("cron", "is missing", allowed)),
        }
    }
}

fn within(field: &'static str, value: u32, least: u32, most: u32) -> Result<u32, ToolError> {
    match (least..=most).contains(&value) {
        true => Ok(value),
        false => Err(ToolError::invalid(
            field,
            "is out of range",
            &format!("{least} to {most} seconds"),
        )),
    }
}

/// The form of a cron expression. The engine knows others, of up to every second; with five fields
/// a schedule runs once a minute at most.
fn cron_checked(cron: String) -> Result<String, ToolError> {
    let is_word = |word: &str| {
        word.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"*/,-?".contains(&byte))
    };
    let fields: Vec<&str> = cron.split_whitespace().collect();
    let is_short = SHORT_FORMS.contains(&cron.as_str());
    if is_short || (fields.len() == 5 && fields.iter().all(|field| is_word(field))) {
        return Ok(fields.join(" "));
    }
    Err(cron_refused("is not a cron expression of five fields"))
}

pub(crate) fn cron_refused(problem: impl Into<String>) -> ToolError {
    ToolError::invalid(
        "cron",
        problem,
        "minute, hour, day of the month, month and day of the week (0 is Sunday), such as \
         \"30 6 * * MON\"; or @hourly, @daily, @weekly, @monthly, @yearly",
    )
}

fn zone_checked(zone: String) -> Result<String, ToolError> {
    let is_name = zone
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_+-/".contains(&byte));
    match is_name {
        true => Ok(zone),
        false => Err(zone_refused("is not the name of a time zone")),
    }
}

pub(crate) fn zone_refused(problem: impl Into<String>) -> ToolError {
    ToolError::invalid(
        "time_zone",
        problem,
        "an IANA name, such as Europe/Berlin or America/New_York; UTC if it is left out",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cron(expression: &str) -> Asked {
        Asked {
            cron: Some(expression.into()),
            ..Asked::default()
        }
    }

    fn every(seconds: u32) -> Asked {
        Asked {
            interval_seconds: Some(seconds),
            ..Asked::default()
        }
    }

    #[test]
    fn what_is_left_out_is_as_usual() {
        let weekly = cron(" 30  6 * * MON ").checked(None).expect("accepted");
        let Rule::Cron {
            expression,
            time_zone,
        } = &weekly.rule
        else {
            panic!("{weekly:?}");
        };
        assert_eq!(
            (expression.as_str(), time_zone.as_str()),
            ("30 6 * * MON", "UTC")
        );
        assert_eq!(
            (weekly.jitter_seconds, weekly.overlap),
            (300, Overlap::Skip)
        );
        let often = every(60).checked(None).expect("accepted");
        assert_eq!(often.jitter_seconds, 6, "a tenth of the interval");
    }

    #[test]
    fn a_change_leaves_the_rest_as_it_was() {
        let before = Asked {
            time_zone: Some("Europe/Berlin".into()),
            jitter_seconds: Some(7),
            overlap: Some(Overlap::BufferOne),
            ..cron("@daily")
        };
        let before = before.checked(None).expect("accepted");
        assert_eq!(Asked::default().checked(Some(&before)), Ok(before.clone()));
        let zone = Asked {
            time_zone: Some("Asia/Tokyo".into()),
            ..Asked::default()
        };
        let moved = zone.checked(Some(&before)).expect("accepted");
        let Rule::Cron {
            expression,
            time_zone,
        } = &moved.rule
        else {
            panic!("{moved:?}");
        };
        assert_eq!(
            (expression.as_str(), time_zone.as_str()),
            ("@daily", "Asia/Tokyo")
        );
        assert_eq!(
            (moved.overlap, moved.jitter_seconds),
            (Overlap::BufferOne, 7)
        );
        let often = every(20).checked(Some(&before)).expect("accepted");
        assert_eq!(
            often.jitter_seconds, 2,
            "seven seconds were meant for a day"
        );
    }

    #[test]
    fn what_is_no_rule_is_refused_by_name() {
        for (field, asked) in [
            ("cron", Asked::default()),
            ("cron", cron("every monday")),
            ("cron", cron("* * * * * * *")),
            ("cron", cron("@every 1s")),
            ("cron", cron("CRON_TZ=UTC 0 0 * *")),
            ("interval_seconds", every(1)),
            (
                "interval_seconds",
                Asked {
                    cron: Some("@daily".into()),
                    ..every(60)
                },
            ),
            (
                "time_zone",
                Asked {
                    time_zone: Some("UTC".into()),
                    ..every(60)
                },
            ),
            (
                "time_zone",
                Asked {
                    time_zone: Some("Berlin; drop".into()),
                    ..cron("@daily")
                },
            ),
            (
                "jitter_seconds",
                Asked {
                    jitter_seconds: Some(61),
                    ..every(60)
                },
            ),
            (
                "catch_up_seconds",
                Asked {
                    catch_up_seconds: Some(9),
                    ..every(60)
                },
            ),
        ] {
            let error = asked.checked(None).expect_err("refused");
            assert_eq!(error.field, Some(field), "{asked:?}: {error}");
        }
    }
}
