#!/usr/bin/env bash
# Say which version STAGE runs, and of which commit; nothing where no version was released.
set -euo pipefail
stage=$1
released=$(ontime release status --json | jq --arg stage "$stage" '.stages[$stage].released // empty')
version=$(jq --raw-output '.version // empty' <<< "$released")
if [[ -z $version ]]; then
  echo "$stage: no release, so there is nothing to watch"
  exit
fi
commit=$(jq --raw-output '.commit' <<< "$released")
echo "$stage: $version of $commit"
printf 'version=%s\ncommit=%s\n' "${version#v}" "$commit" >> "$GITHUB_OUTPUT"
