#!/usr/bin/env bash
# Have GitHub merge the pull request NUMBER at the commit HEAD once `main` lets it: checks have passed, reviews are there.
set -euo pipefail
number=$1 head=$2
call() {
  curl --fail-with-body --silent --show-error --max-time 30 --header "Authorization: Bearer $GITHUB_TOKEN" \
    --header "Accept: application/vnd.github+json" "$@"
}
mutate() {
  local query
  query="mutation(\$id: ID!, \$head: GitObjectID!) {
    $1(input: {pullRequestId: \$id, expectedHeadOid: \$head, mergeMethod: SQUASH}) { clientMutationId }
  }"
  jq --null-input --arg query "$query" --arg id "$id" --arg head "$head" \
    '{query: $query, variables: {id: $id, head: $head}}' | call --json @- "$GITHUB_GRAPHQL_URL" |
    jq --raw-output '[.errors[]?.message] | join("; ")'
}
id=$(call "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/pulls/$number" | jq --raw-output .node_id)
reason=$(mutate enablePullRequestAutoMerge)
if [[ $reason == *"clean status"* || $reason == *"unstable status"* ]]; then
  # nothing is left to wait for
  reason=$(mutate mergePullRequest)
fi
if [[ -n $reason ]]; then
  echo "error: pull request $number: not to be merged by itself: $reason" >&2
  exit 1
fi
