#!/usr/bin/env bash
# Train on new data or with SETTINGS (parameters, a line each), push what came out to the DVC remote, and leave the
# files that differ in FOLDER; without a difference there is no folder.
set -euo pipefail
folder=$1
bash .github/scripts/take_new_data.sh
dvc repro --no-run-cache
bash .github/scripts/keep_outputs.sh "$folder"
