#!/usr/bin/env bash
# Commit the changes of tracked files with MESSAGE, and push them as BRANCH, which must be new, with GITHUB_TOKEN.
set -euo pipefail
branch=$1 message=$2
git commit --quiet --all --message "$message"
# in git's environment, so that no file keeps the token
credentials=$(printf 'x-access-token:%s' "$GITHUB_TOKEN" | base64 --wrap=0)
echo "::add-mask::$credentials"
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="http.$GITHUB_SERVER_URL/.extraheader"
export GIT_CONFIG_VALUE_0="AUTHORIZATION: basic $credentials"
# the lease of nothing: a branch of that name by somebody else stays, and the push fails
git push --quiet --force-with-lease="refs/heads/$branch:" origin "HEAD:refs/heads/$branch"
