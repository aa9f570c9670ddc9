//! Processes that are not our children: found by command line, watched and ended by id.

use std::{ffi::OsString, process::Command};

pub(super) use sysinfo::Pid;
use sysinfo::{
    ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, Signal, System, Uid, UpdateKind,
};

/// What a background process of ours needs from the environment. A list of what may pass, not
/// of what may not: a token is then kept out whatever its variable is called.
const PLAIN_VARIABLES: [&str; 19] = [
    "APPDATA",
    "HOME",
    "LANG",
    "LC_ALL",
    "LOCALAPPDATA",
    "LOGNAME",
    "PATH",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "SEGUE_HOME",
    "SYSTEMROOT",
    "TEMP",
    "TMP",
    "TMPDIR",
    "TZ",
    "USER",
    "USERNAME",
    "USERPROFILE",
    "WINDIR",
];

/// A process that [`find`] found.
pub(super) struct Found {
    pub(super) pid: Pid,
    pub(super) command_line: Vec<OsString>,
}

/// Lets `command` inherit nothing but plain variables: no token, no key, no Temporal setting.
pub(super) fn only_plain_environment(command: &mut Command) {
    command.env_clear();
    for name in PLAIN_VARIABLES {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
}

/// What starts like this may be a secret, or lead a program of Temporal's elsewhere.
const SECRET_PREFIXES: [&str; 4] = ["OPENAI_", "SEGUE_", "SPOTIFY_", "TEMPORAL_"];

/// Takes our secrets out of what `command` inherits, for a program that needs more of the
/// user's environment than [`only_plain_environment`] leaves.
pub(super) fn no_secrets(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if SECRET_PREFIXES
            .iter()
            .any(|prefix| text.starts_with(prefix))
        {
            command.env_remove(name);
        }
    }
}

/// The living processes of this user whose command line is `wanted`. Other users can give theirs any command line, and
/// must not be taken for ours. The superuser is trusted by all, and sees all. (Windows does not tell whose they are.)
pub(super) fn find(wanted: impl Fn(&[OsString]) -> bool) -> Vec<Found> {
    let mut system = System::new();
    let what = ProcessRefreshKind::nothing()
        .with_cmd(UpdateKind::Always)
        .with_user(UpdateKind::Always)
        .without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
    let ourselves = sysinfo::get_current_pid().ok();
    let ourselves = ourselves.and_then(|pid| system.process(pid));
    let our_user = ourselves.and_then(|process| process.effective_user_id().cloned());
    system
        .processes()
        .values()
        .filter(|process| may_be_ours(process.effective_user_id(), our_user.as_ref()))
        .filter(|process| lives(process) && wanted(process.cmd()))
        .map(|process| Found {
            pid: process.pid(),
            command_line: process.cmd().to_vec(),
        })
        .collect()
}

fn may_be_ours(user: Option<&Uid>, our_user: Option<&Uid>) -> bool {
    #[cfg(unix)]
    let is_root = |user: Option<&Uid>| user.is_some_and(|user| **user == 0);
    #[cfg(not(unix))]
    let is_root = |_: Option<&Uid>| false;
    // Two servers on one database would be worse than one too many looked at.
    our_user.is_none() || user == our_user || is_root(user) || is_root(our_user)
}

/// Whether the process runs. One that ended and waits to be collected does not.
pub(super) fn is_alive(pid: Pid) -> bool {
    look_at(pid).process(pid).is_some_and(lives)
}

/// Asks a process to end. Where there are no signals it is killed.
pub(super) fn terminate(pid: Pid) {
    if let Some(process) = look_at(pid).process(pid)
        && process.kill_with(Signal::Term).is_none()
    {
        process.kill();
    }
}

/// Ends a process at once.
pub(super) fn kill(pid: Pid) {
    if let Some(process) = look_at(pid).process(pid) {
        process.kill();
    }
}

fn look_at(pid: Pid) -> System {
    let mut system = System::new();
    system.refresh_processes_specifics(
        ProcessesToUpdate::Some(&[pid]),
        true,
        ProcessRefreshKind::nothing().without_tasks(),
    );
    system
}

fn lives(process: &sysinfo::Process) -> bool {
    !matches!(
        process.status(),
        ProcessStatus::Zombie | ProcessStatus::Dead
    )
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn no_secret_passes_to_a_background_process() {
        for name in PLAIN_VARIABLES {
            for secret in ["SPOTIFY", "OPENAI", "TEMPORAL", "TOKEN", "KEY", "SECRET"] {
                assert!(!name.contains(secret), "{name}");
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_is_taken_for_us_but_the_superuser() {
        let user = |id: usize| Uid::try_from(id).unwrap();
        let [root, ann, bob] = [user(0), user(1000), user(1001)];
        let may_be = |user, us| may_be_ours(Some(user), Some(us));
        assert!(may_be(&ann, &ann) && may_be(&root, &ann) && may_be(&ann, &root));
        assert!(!may_be(&bob, &ann) && !may_be_ours(None, Some(&ann)));
    }

    #[cfg(unix)]
    #[test]
    fn a_process_is_found_and_ended() {
        // `sleep` takes the sum of its arguments, so the second one names this very process.
        let name: OsString = format!("0.{}", std::process::id()).into();
        let mut child = Command::new("sleep").arg("600").arg(&name).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        let found = loop {
            let found = find(|command_line| command_line.last() == Some(&name));
            // A process that has just begun has no command line yet.
            if !found.is_empty() || Instant::now() > deadline {
                break found;
            }
        };
        assert_eq!(found.len(), 1);
        let pid = Pid::from_u32(child.id());
        assert!(found[0].pid == pid && is_alive(pid));
        terminate(pid);
        child.wait().unwrap();
        assert!(!is_alive(pid));
    }
}
