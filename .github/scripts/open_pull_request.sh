#!/usr/bin/env bash
# Open a pull request of BRANCH into main with TITLE, and what standard input says as its text, unless it is open.
set -euo pipefail
branch=$1 title=$2
pulls=$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/pulls
call() {
  curl --fail-with-body --silent --show-error --max-time 30 --header "Authorization: Bearer $GITHUB_TOKEN" \
    --header "Accept: application/vnd.github+json" "$@"
}
address=$(call --get --data-urlencode "head=${GITHUB_REPOSITORY%%/*}:$branch" --data "state=open" --data "base=main" "$pulls" |
  jq --raw-output '.[0].html_url // empty')
if [[ -z $address ]]; then
  address=$(jq --null-input --arg title "$title" --arg head "$branch" --rawfile body /dev/stdin \
    '{title: $title, head: $head, base: "main", body: $body}' |
    call --json @- "$pulls" | jq --raw-output .html_url)
fi
echo "$address"
