# What there is to do here. `just` lists it; each line also works typed by hand.

_default:
    @just --list --unsorted

# Show the main job in one terminal
demo:
    cargo run -- demo

# Format everything
fmt:
    cargo fmt --all

# Lint as CI does
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# Run every test
test:
    cargo test --workspace

# Measure the matching on the songs that come with the repository
eval *OPTIONS:
    cargo run -- eval tests/data/pairs_dev.csv {{OPTIONS}}

# Measure how fast Segue is: the tables of docs/performance.md, on a machine that does nothing else
bench *OPTIONS:
    cargo run --profile measured -- bench --engine both {{OPTIONS}}

# Make the MCP bundle for this platform in target/bundle, optimised and stripped (needs Node.js with npm)
bundle:
    cargo build --release --locked --package segue --package segue-packaging
    "${CARGO_TARGET_DIR:-target}/release/segue-bundle"

# Write the install guides anew, after a change in packaging/guides
guides:
    UPDATE_GUIDES=1 cargo test --package segue-packaging guides

# Write the tools' snapshots and the manifest anew, after a deliberate change
snapshots:
    INSTA_UPDATE=always cargo test -p segue-tools --test registry
    INSTA_UPDATE=always cargo test -p segue-spotify --test server
    UPDATE_MANIFEST=1 cargo test --test stories manifest

# Record the histories of every workflow path; only for a path that is new (see CONTRIBUTING)
histories:
    RECORD_HISTORIES=1 cargo test --test stories history_replay::today

# Look for input that breaks a parser at the border (needs nightly Rust and cargo-fuzz)
fuzz TARGET *OPTIONS:
    mkdir -p fuzz/found/{{TARGET}}
    cp Cargo.lock fuzz/Cargo.lock
    nice cargo +nightly fuzz run --sanitizer none {{TARGET}} fuzz/found/{{TARGET}} fuzz/corpus/{{TARGET}} \
        -- -max_total_time=600 -rss_limit_mb=1024 -timeout=10 {{OPTIONS}}

# Check licences and advisories (needs cargo-deny)
deny:
    cargo deny check

# Exactly the steps of CI
ci:
    .ci/run
