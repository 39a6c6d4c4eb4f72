#!/usr/bin/env bash
# Train on new data or with SETTINGS (parameters, a line each), push what came out to the DVC remote, and leave the
# files that differ in FOLDER; without a difference there is no folder.
set -euo pipefail
folder=$1
ontime set <<< "${SETTINGS:-}"
ontime refresh
ontime pull
dvc repro --no-run-cache
if git diff --quiet; then
  echo "nothing came out different"
  exit
fi
ontime cache --push
mkdir "$folder"
git diff --name-only -z | xargs -0 cp --parents --target-directory "$folder"
echo "changed=true" >> "$GITHUB_OUTPUT"
