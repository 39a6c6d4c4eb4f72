#!/usr/bin/env bash
# Run git with GITHUB_TOKEN as its credentials, which no file keeps.
set -euo pipefail
credentials=$(printf 'x-access-token:%s' "$GITHUB_TOKEN" | base64 --wrap=0)
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="http.$GITHUB_SERVER_URL/.extraheader"
export GIT_CONFIG_VALUE_0="AUTHORIZATION: basic $credentials"
exec git "$@"
