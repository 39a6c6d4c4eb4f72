#!/usr/bin/env bash
# Check DAY (by default yesterday) of what VERSION answered, whose commit is checked out in RELEASED, and leave what was
# found in FOLDER. PREDICTION_LOG is the log's address, MONITORING that of what was found on the days before, and LABELS
# that of labels, if there are any.
set -euo pipefail
released=$1 folder=$2
: "${PREDICTION_LOG:?a variable of the environment, the address that ontime log compact writes to}"
: "${MONITORING:?a variable of the environment, the address where the results of the days are kept}"
day=${DAY:-$(date --utc --date=yesterday +%F)}
(cd "$released" && ontime pull models/champion)
mkdir -p "$folder"
ontime monitor fetch "$MONITORING" "$folder"
status=0
ontime monitor day "$day" --log "$PREDICTION_LOG" --model "$released/models/champion" --model-version "$VERSION" \
  ${LABELS:+--labels "$LABELS"} --output "$folder" > "$folder/summary.txt" || status=$?
cat "$folder/summary.txt"
# 3 is an alarm, for which the next jobs are there
if ((status != 0 && status != 3)); then
  exit "$status"
fi
cat "$folder/summary.txt" >> "$GITHUB_STEP_SUMMARY"
rm "$folder/summary.txt"
ontime monitor keep "$folder" "$MONITORING"
challenger=$(jq '.challenger != null' "$folder/day/$day.json")
printf 'day=%s\nchallenger=%s\n' "$day" "$challenger" >> "$GITHUB_OUTPUT"
