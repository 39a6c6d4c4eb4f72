#!/usr/bin/env bash
# Train on new data or with SETTINGS (parameters, a line each), push what came out, and open a pull request with it.
set -euo pipefail
name=retrain-$GITHUB_RUN_ID
mapfile -t settings < <(grep . <<< "${SETTINGS:-}" || true)
ontime refresh
ontime pull
dvc exp run --name "$name" "${settings[@]/#/--set-param=}"
if git diff --quiet; then
  echo "nothing came out different"
  exit
fi
ontime cache --push
git switch --quiet --create "$name"
git commit --quiet --all --message "Retrain"
git push --quiet origin "$name"
{
  echo "The graph on new data or parameters; the pull request's report says what it does to the model."
  if [[ ${ALERT:-null} != null ]]; then
    printf '\nThe alert that asked for it:\n\n~~~json\n%s\n~~~\n' "${ALERT:0:10000}"
  fi
} | bash .github/scripts/open_pull_request.sh "$name" "Retrain"
