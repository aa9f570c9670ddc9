//! The folders: whether they can be used, by whom, and whether the disk has room.

use std::path::Path;

use super::check::Check;
use crate::{config::Config, home::Home};

/// Bytes below which the engine is about to stop: its database grows by some 10 kB a song.
const TOO_LITTLE: u64 = 64 << 20;
/// Bytes below which somebody should make room.
const LITTLE: u64 = 1 << 30;

/// Whether the folders are there and can be used.
pub(super) fn usable(home: &Home) -> Check {
    const PART: &str = "folders";
    let usable = home
        .data()
        .and_then(|data| home.cache().map(|cache| (data, cache)));
    match usable {
        Ok((data, cache)) => Check::ok(
            PART,
            format!("data in {}, cache in {}", data.display(), cache.display()),
        ),
        Err(error) => Check::broken(
            PART,
            error.to_string(),
            "set SEGUE_HOME to a writable folder",
        ),
    }
}

/// Whether the disk of the data has room.
pub(super) fn disk(home: &Home) -> Check {
    const PART: &str = "disk space";
    let Ok(data) = home.data() else {
        return Check::not_checked(PART, "there is no data folder");
    };
    match free_bytes(&data) {
        Ok(free) => room(PART, free, &data),
        Err(why) => Check::not_checked(PART, why),
    }
}

fn room(part: &'static str, free: u64, folder: &Path) -> Check {
    let finding = format!("{} MB free for {}", free >> 20, folder.display());
    let mend = "make room on that disk, or set SEGUE_HOME to a folder on another";
    match free {
        ..TOO_LITTLE => Check::broken(part, finding, mend),
        TOO_LITTLE..LITTLE => Check::attention(part, finding, mend),
        _ => Check::ok(part, finding),
    }
}

#[cfg(unix)]
fn free_bytes(folder: &Path) -> Result<u64, String> {
    let disk = rustix::fs::statvfs(folder).map_err(|error| error.to_string())?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_folder: &Path) -> Result<u64, String> {
    Err("this system is not asked".to_owned())
}

/// Whether anybody else may read or change what is in the folders. To be asked before the engine is started,
/// which takes its own folder away from others by itself.
#[cfg(unix)]
pub(super) fn permissions(config: &Config, home: &Home) -> Check {
    use std::os::unix::fs::MetadataExt;

    const PART: &str = "permissions";
    /// Who may write but the owner, and who may do anything.
    const OTHERS_WRITE: u32 = 0o022;
    const OTHERS: u32 = 0o077;

    let (Ok(data), Ok(settings)) = (home.data(), home.config()) else {
        return Check::not_checked(PART, "the folders cannot be used");
    };
    let me = rustix::process::geteuid().as_raw();
    let (mut wrong, mut open, mut mends) = (Vec::new(), Vec::new(), Vec::new());
    let upstream_is_private = config.upstream.is_some();
    // Of each: whether what is in it is nobody else's business.
    let paths = [
        (data.clone(), true),
        (settings, upstream_is_private),
        (data.join("engine"), true),
        (home.config_file(), upstream_is_private),
    ];
    // Segue itself refuses to read these if others may.
    let secrets = [
        home.secrets_file(),
        home.tokens_file(),
        config.engine_options().sealing.keys(home).path().to_owned(),
    ];
    let paths: Vec<_> = paths
        .into_iter()
        .chain(secrets.iter().map(|path| (path.clone(), true)))
        .collect();
    for (at, (path, private)) in paths.iter().enumerate() {
        if paths[..at].iter().any(|(other, _)| other == path) {
            continue;
        }
        // One that is not there can be read by nobody.
        let Ok(metadata) = path.metadata() else {
            continue;
        };
        let (mode, shown) = (metadata.mode() & 0o777, path.display());
        let keep = match metadata.is_dir() {
            true => "700",
            false => "600",
        };
        if metadata.uid() != me && me != 0 {
            wrong.push(format!("{shown} belongs to another user"));
            mends.push(format!("sudo chown -R {me} {}", quoted(path)));
        } else if mode & OTHERS_WRITE != 0 {
            wrong.push(format!("others may change {shown} (mode {mode:o})"));
            mends.push(format!("chmod {keep} {}", quoted(path)));
        } else if secrets.contains(path) && mode & OTHERS != 0 {
            wrong.push(format!("others may read {shown} (mode {mode:o})"));
            mends.push(format!("chmod {keep} {}", quoted(path)));
        } else if *private && mode & OTHERS != 0 {
            open.push(format!("others may look into {shown} (mode {mode:o})"));
            mends.push(format!("chmod {keep} {}", quoted(path)));
        }
    }
    let mend = mends.join(" && ");
    match (wrong.is_empty(), open.is_empty()) {
        (true, true) => Check::ok(PART, "nobody else may read or change what is kept"),
        (true, false) => Check::attention(PART, open.join("; "), mend),
        _ => {
            wrong.extend(open);
            Check::broken(PART, wrong.join("; "), mend)
        }
    }
}

/// Where modes do not exist, a folder of the user's is private by inheritance.
#[cfg(not(unix))]
pub(super) fn permissions(_config: &Config, _home: &Home) -> Check {
    Check::not_checked("permissions", "this system is not asked")
}

/// The path as a word of a command line.
#[cfg(unix)]
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    match text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::check::State, *};

    #[test]
    fn a_disk_is_looked_after_before_it_is_full() {
        let state = |free| room("disk space", free, Path::new("/x")).state;
        assert_eq!(state(0), State::Broken);
        assert_eq!(state(TOO_LITTLE), State::Attention);
        assert_eq!(state(LITTLE), State::Ok);
    }

    #[cfg(unix)]
    #[test]
    fn a_command_takes_any_path() {
        assert_eq!(quoted(Path::new("/a/b.toml")), "/a/b.toml");
        assert_eq!(quoted(Path::new("/my home/it's")), r"'/my home/it'\''s'");
    }
}
