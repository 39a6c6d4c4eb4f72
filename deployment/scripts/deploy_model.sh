#!/usr/bin/env bash
# Deploy a registered version to a stage: the tag that is pushed starts the release or promotion workflow.
set -euo pipefail

if [[ $# -ne 2 || $1 == -* || $2 == -* ]]; then
  echo "usage: ${0##*/} VERSION STAGE
  VERSION  a registered version, as in v1.2.0; ontime release status lists them
  STAGE    one that .gto lists; a version runs in each one before it may run in the next" >&2
  exit 2
fi
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
PATH="$PWD/.venv/bin:$PATH"
ontime release assign "$1" "$2" --push
