#!/usr/bin/env bash
# Start the workflow `retrain` with the parameters of the challenger that DAY asks for, by what was found in FOLDER.
set -euo pipefail
folder=$1
ontime monitor challenger "$DAY" --output "$folder" |
  jq --raw-input --slurp '{ref: "main", inputs: {settings: .}}' |
  curl --fail-with-body --silent --show-error --max-time 30 --header "Authorization: Bearer $GITHUB_TOKEN" \
    --header "Accept: application/vnd.github+json" --json @- \
    "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/actions/workflows/retrain.yml/dispatches"
echo "started retrain"
