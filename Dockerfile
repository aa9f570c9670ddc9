# syntax=docker/dockerfile:1
# Segue for operators: the program alone, for an engine of your own (TEMPORAL_ADDRESS). compose.yaml has one.

FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /build
COPY . .
# What cargo fetches and builds stays out of the layers, and is there again next time.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --package segue --bin segue \
    && cp target/release/segue /usr/local/bin/segue

FROM debian:12.12-slim
# The certificates by which Spotify, the model and an engine behind TLS are known.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/segue --create-home segue
COPY --from=build /usr/local/bin/segue /usr/local/bin/segue

USER 10001
# A volume that is mounted here for the first time belongs to this user, too.
WORKDIR /var/lib/segue
ENV SEGUE_HOME=/var/lib/segue \
    SEGUE_LOG_FORMAT=json \
    SEGUE_METRICS=0.0.0.0:9464
EXPOSE 8620 9464
ENTRYPOINT ["segue"]
# Another address than loopback is served only if there are tokens or OAuth: `segue token create`.
CMD ["serve", "--http", "0.0.0.0:8620"]
# The page of metrics is there for `serve` and for `worker`; the image has no other client than the shell.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9464 && printf 'GET /metrics HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && grep -q '^HTTP/1.1 200' <&3"]
