#!/usr/bin/env bash
# Take a stage back to an older version: the tag that is pushed starts the promotion workflow, as any deployment does.
set -euo pipefail

if [[ $# -lt 1 || $# -gt 2 || $1 == -* || ${2:-} == -* ]]; then
  echo "usage: ${0##*/} STAGE [VERSION]
  STAGE    one that .gto lists
  VERSION  one that ran there, as in v1.2.0; otherwise the last one that is older; ontime release history STAGE" >&2
  exit 2
fi
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
PATH="$PWD/.venv/bin:$PATH"
ontime release rollback "$1" ${2:+--to "$2"} --push
