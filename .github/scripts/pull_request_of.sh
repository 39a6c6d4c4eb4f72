#!/usr/bin/env bash
# The number in FILE, which another run left, if it is that of a pull request whose head is the commit SHA.
set -euo pipefail
file=$1 sha=$2
number=$(head -c 20 "$file")
if ! [[ $number =~ ^[1-9][0-9]{0,8}$ ]]; then
  echo "error: $file: not the number of a pull request" >&2
  exit 1
fi
head=$(curl --fail-with-body --silent --show-error --retry 3 --max-time 30 \
  --header "Authorization: Bearer $GITHUB_TOKEN" --header "Accept: application/vnd.github+json" \
  "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/pulls/$number" | jq --raw-output .head.sha)
if [[ $head != "$sha" ]]; then
  echo "error: pull request $number is at $head, not at $sha of the run" >&2
  exit 1
fi
echo "$number"
