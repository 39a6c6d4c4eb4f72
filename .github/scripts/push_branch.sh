#!/usr/bin/env bash
# Commit the changes of tracked files with MESSAGE, and push them as BRANCH, which must be new, with GITHUB_TOKEN.
set -euo pipefail
branch=$1 message=$2
git commit --quiet --all --message "$message"
# the lease of nothing: a branch of that name by somebody else stays, and the push fails
bash .github/scripts/git_with_token.sh push --quiet --force-with-lease="refs/heads/$branch:" origin \
  "HEAD:refs/heads/$branch"
