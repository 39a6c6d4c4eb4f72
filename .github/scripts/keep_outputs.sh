#!/usr/bin/env bash
# Push what the graph made to the DVC remote, and leave the files that differ in FOLDER; without one there is no folder.
set -euo pipefail
folder=$1
if git diff --quiet; then
  echo "nothing came out different"
  exit
fi
ontime cache --push
mkdir "$folder"
git diff --name-only -z | xargs -0 cp --parents --target-directory "$folder"
echo "changed=true" >> "$GITHUB_OUTPUT"
