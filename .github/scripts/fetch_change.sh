#!/usr/bin/env bash
# Fetch REFERENCE, which must be at HEAD, without checking it out; print whether a release file differs since BASE.
set -euo pipefail
reference=$1 base=$2 head=$3
# the header reaches git by its environment, so that it is neither in the repository nor in a list of processes
GIT_CONFIG_VALUE_0="AUTHORIZATION: basic $(printf 'x-access-token:%s' "$GITHUB_TOKEN" | base64 --wrap=0)"
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="http.${GITHUB_SERVER_URL:-https://github.com}/.extraheader" GIT_CONFIG_VALUE_0
git fetch --quiet --no-tags origin "$reference"
if [[ $(git rev-parse FETCH_HEAD) != "$head" ]]; then
  echo "error: $reference: moved on from $head; the run for the newer commit decides" >&2
  exit 1
fi
if git diff --quiet "$base...$head" -- deployment/kubernetes/releases; then
  echo "release=false"
else
  echo "release=true"
fi
