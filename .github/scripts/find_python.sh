#!/usr/bin/env bash
# Path of Python 3.11: the one on PATH, or the runner image's own. Nothing is downloaded.
set -euo pipefail
if command -v python3.11; then
  exit
fi
found=$(find "${RUNNER_TOOL_CACHE:-/opt/hostedtoolcache}/Python" -path '*/3.11.*/x64/bin/python3.11' 2> /dev/null |
  sort --version-sort | tail --lines=1)
if [[ -z $found ]]; then
  echo "error: python3.11: neither on PATH nor in the runner's tool cache" >&2
  exit 1
fi
echo "$found"
