#!/usr/bin/env bash
# Push the written release file of STAGE to a branch for TAG and open its pull request with TITLE; that of staging is
# merged as soon as everything is there that `main` requires. What anybody else pushed to that branch is refused.
# IDENTITY, if set, is who must have signed the image of a version's first release.
set -euo pipefail
tag=$1 title=$2 stage=$3
branch=promote/${tag//[@#]/-}
reference=refs/heads/$branch
signer=()
if [[ -n ${IDENTITY:-} ]]; then
  signer=(--identity "$IDENTITY" --identity-provider https://token.actions.githubusercontent.com)
fi
ontime release publish --tag "$tag" --to-branch "$branch" "${signer[@]}"
head=$(git ls-remote origin "$reference" | awk -v name="$reference" '$2 == name {print $1}')
if [[ -z $head ]]; then
  # main has the release already, and the branch is gone
  exit
fi
address=$(bash .github/scripts/open_pull_request.sh "$branch" "$title" <<< "By the tag \`$tag\`.")
echo "$address"
if [[ $stage == staging ]]; then
  bash .github/scripts/merge_when_ready.sh "${address##*/}" "$head"
fi
