#!/usr/bin/env bash
# Set the parameters in SETTINGS (a line each), take new data, and fetch what the DVC remote has of the graph.
set -euo pipefail
ontime set <<< "${SETTINGS:-}"
ontime refresh
ontime pull
