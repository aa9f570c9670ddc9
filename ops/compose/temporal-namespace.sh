#!/bin/sh
# Makes Segue's namespace, unless it is there. TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE say where, and what it is called.
# `create` takes the name from its option alone.
set -eu

temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1 ||
    temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention 720h
