#!/usr/bin/env bash
# Airflow on loopback with the project's DAGs, until it is interrupted: four parts, because `airflow standalone` opens its
# log servers on every address. A part gets the connection that it needs and no other: the scheduler, whose tasks run
# code on data from elsewhere, gets none.
set -euo pipefail
top=$(dirname "$(dirname "$(realpath "$0")")")
port=${AIRFLOW__API__PORT:-8793}
export PATH=$top/.airflow/bin:$PATH PYTHONPATH=$top
export AIRFLOW_HOME=${AIRFLOW_HOME:-$top/.airflow/home}
export AIRFLOW__CORE__DAGS_FOLDER=$top/pipelines AIRFLOW__CORE__LOAD_EXAMPLES=False
export AIRFLOW__API__HOST=127.0.0.1 AIRFLOW__API__PORT=$port AIRFLOW__API__BASE_URL=http://127.0.0.1:$port
export AIRFLOW__CORE__EXECUTION_API_SERVER_URL=http://127.0.0.1:$port/execution/
export AIRFLOW__CORE__PARALLELISM=${AIRFLOW__CORE__PARALLELISM:-2} AIRFLOW__USAGE_DATA_COLLECTION__ENABLED=False
mkdir -p "$AIRFLOW_HOME"
chmod 700 "$AIRFLOW_HOME"
airflow db migrate > "$AIRFLOW_HOME/migrate.log" 2>&1 || { cat "$AIRFLOW_HOME/migrate.log" >&2; exit 1; }
# shellcheck disable=SC2329 # by the trap
stop() {
  trap - EXIT INT TERM
  # shellcheck disable=SC2046 # a number for each part
  kill $(jobs -p) 2> /dev/null || true
  wait
}
trap stop EXIT INT TERM
env --unset=AIRFLOW_CONN_ALERTS airflow api-server > "$AIRFLOW_HOME/api-server.log" 2>&1 &
env --unset=AIRFLOW_CONN_FORGE airflow dag-processor > "$AIRFLOW_HOME/dag-processor.log" 2>&1 &
unset AIRFLOW_CONN_ALERTS AIRFLOW_CONN_FORGE
airflow scheduler --skip-serve-logs > "$AIRFLOW_HOME/scheduler.log" 2>&1 &
airflow triggerer --skip-serve-logs > "$AIRFLOW_HOME/triggerer.log" 2>&1 &
echo "Airflow: http://127.0.0.1:$port, logs in $AIRFLOW_HOME"
# one that ends takes the others with it
wait -n
echo "a part of Airflow ended; see $AIRFLOW_HOME/*.log" >&2
exit 1
