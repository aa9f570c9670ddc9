//! Other processes of this machine, found by their command line: for tests and the torture bench,
//! which kill them.

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, Signal, System, UpdateKind};

/// The processes that have each of these texts in a word of their command line, and are children of
/// `parent` if that is given.
pub fn find(parent: Option<u32>, texts: &[&str]) -> Vec<u32> {
    let mut system = System::new();
    let kind = ProcessRefreshKind::nothing().with_cmd(UpdateKind::Always);
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
    system
        .processes()
        .values()
        .filter(|process| process.thread_kind().is_none())
        .filter(|process| parent.is_none_or(|id| process.parent().map(Pid::as_u32) == Some(id)))
        .filter(|process| {
            let has = |text: &&str| {
                let mut words = process.cmd().iter();
                words.any(|word| word.to_string_lossy().contains(text))
            };
            texts.iter().all(has)
        })
        .map(|process| process.pid().as_u32())
        .collect()
}

/// `kill -9`; whether there was such a process.
pub fn kill(process: u32) -> bool {
    signal(process, Signal::Kill)
}

/// Stops the process where it stands, until [`thaw`].
pub fn freeze(process: u32) -> bool {
    signal(process, Signal::Stop)
}

/// Lets a stopped process go on.
pub fn thaw(process: u32) -> bool {
    signal(process, Signal::Continue)
}

fn signal(process: u32, signal: Signal) -> bool {
    let pid = Pid::from_u32(process);
    let mut system = System::new();
    system.refresh_processes(ProcessesToUpdate::Some(&[pid]), true);
    system
        .process(pid)
        .and_then(|process| process.kill_with(signal))
        == Some(true)
}
