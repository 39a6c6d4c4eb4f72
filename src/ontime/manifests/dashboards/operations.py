"""The dashboard Operations: what the service answers, how fast, and a canary beside the stable version."""

from ontime.manifests.dashboards.grafana import COLORS, Panel, Query, Row

WHERE = 'namespace="$namespace"'
VERSION = "app_kubernetes_io_version"
BY_VERSION = f"{VERSION}, rollouts_pod_template_hash"
LEGEND = f"{{{{{VERSION}}}}} {{{{rollouts_pod_template_hash}}}}"
HASH = "{{rollouts_pod_template_hash}}"
CODES = {"200": COLORS["good"], "429": COLORS["canary"], "500": COLORS["bad"]}


def by_version(counter: str) -> str:
    """What a counter of the service grows in a second, by version and hash of the pods."""
    return f"sum by ({BY_VERSION}) (rate(ontime_{counter}{{{WHERE}}}[$__rate_interval]))"


ROWS = (
    Row(
        "Requests",
        (
            Panel(
                "Responses by code (per second)",
                "All responses. 5xx are the service's own failures, 429 says that the queue was full.",
                "reqps",
                (Query(f"sum by (code) (rate(ontime_requests_total{{{WHERE}}}[$__rate_interval])) > 0", "{{code}}"),),
                "OntimeErrors",
                least=0,
                colors=CODES,
            ),
            Panel(
                "Requests by protocol (per second)",
                "v1 is TensorFlow Serving's REST API, v2 the Open Inference Protocol.",
                "reqps",
                (
                    Query(
                        f"sum by (protocol) (rate(ontime_requests_total{{{WHERE}}}[$__rate_interval]))", "{{protocol}}"
                    ),
                ),
                "OntimeErrors",
                least=0,
            ),
            Panel(
                "Response time (seconds)",
                "Half of the requests, and nineteen in twenty, are answered within this time.",
                "s",
                tuple(
                    Query(
                        f"histogram_quantile({share}, sum by (le) (rate("
                        f"ontime_request_duration_seconds_bucket{{{WHERE}}}[$__rate_interval])))",
                        name,
                    )
                    for share, name in ((0.5, "median"), (0.95, "95th percentile"))
                ),
                "OntimeSlow",
                least=0,
                limit=0.1,
            ),
            Panel(
                "Rows in flight (rows)",
                "Rows that are queued or being computed, by pod. Many of them for long mean too few pods.",
                "short",
                (Query(f"sum by (pod) (ontime_rows_in_flight{{{WHERE}}})", "{{pod}}"),),
                "OntimeOverloaded",
                least=0,
            ),
        ),
    ),
    Row(
        "Canary beside stable",
        (
            Panel(
                "Requests by version (per second)",
                "Version and hash of the pods. While a canary runs, there are two.",
                "reqps",
                (Query(f"sum by ({BY_VERSION}) (rate(ontime_requests_total{{{WHERE}}}[$__rate_interval]))", LEGEND),),
                "OntimeErrors",
                width=8,
                least=0,
            ),
            Panel(
                "Failed responses by version (share)",
                "What the analysis of a canary asks for, over two minutes.",
                "percentunit",
                (Query(f"ontime:answers:failed_share2m{{{WHERE}}}", HASH),),
                "OntimeErrors",
                width=8,
                least=0,
            ),
            Panel(
                "95th percentile by version (seconds)",
                "What the analysis of a canary asks for, over two minutes.",
                "s",
                (Query(f"ontime:request_duration_seconds:p95_2m{{{WHERE}}}", HASH),),
                "OntimeSlow",
                width=8,
                least=0,
            ),
            Panel(
                "Mean predicted probability by version (share)",
                "Both versions answer the same kind of requests, so their means should move together.",
                "percentunit",
                (
                    Query(
                        f"{by_version('predicted_probability_sum')}\n/ {by_version('predicted_probability_count')}",
                        LEGEND,
                    ),
                ),
                "OntimeInputsMoved",
                least=0,
            ),
            Panel(
                "Predicted probabilities by version (share)",
                "Half of the rows, and nine in ten, get a probability below this one.",
                "percentunit",
                tuple(
                    Query(
                        f"histogram_quantile({share}, sum by ({BY_VERSION}, le) (rate("
                        f"ontime_predicted_probability_bucket{{{WHERE}}}[$__rate_interval])))",
                        f"{name} {LEGEND}",
                    )
                    for share, name in ((0.5, "median"), (0.9, "90th percentile"))
                ),
                "OntimeInputsMoved",
                least=0,
            ),
        ),
    ),
    Row(
        "Inputs",
        (
            Panel(
                "Missing values, live (share of an hour's rows)",
                "As the service counts them, where an hour has more than a thousand rows.",
                "percentunit",
                (Query('topk(8, ontime:missing_features:share1h{namespace="$namespace"})', "{{feature}}"),),
                "OntimeFeatureMissing",
                least=0,
            ),
            Panel(
                "Unknown categories, live (values per second)",
                "As the service counts them.",
                "short",
                (
                    Query(
                        'sum by (feature) (rate(ontime_unknown_categories_total{namespace="$namespace"}'
                        "[$__rate_interval]))",
                        "{{feature}}",
                    ),
                ),
                "OntimeInputsMoved",
                least=0,
            ),
        ),
    ),
    Row(
        "Pods",
        (
            Panel(
                "Pods by version (pods)",
                "Pods whose metrics can be read, by the model that they serve.",
                "short",
                (Query(f"count by (model, version) (ontime_model_info{{{WHERE}}})", "{{model}} {{version}}"),),
                "OntimeDown",
                width=6,
                least=0,
                decimals=0,
                draw="steps",
            ),
            Panel(
                "Processor (cores)",
                "What each pod's container computes, as the node's kubelet counts it.",
                "short",
                (
                    Query(
                        f'sum by (pod) (rate(container_cpu_usage_seconds_total{{{WHERE}, container="ontime"}}'
                        "[$__rate_interval]))",
                        "{{pod}}",
                    ),
                ),
                "OntimeOverloaded",
                width=6,
                least=0,
            ),
            Panel(
                "Memory (bytes)",
                "What each pod's container holds, as the node's kubelet counts it.",
                "bytes",
                (
                    Query(
                        f'sum by (pod) (container_memory_working_set_bytes{{{WHERE}, container="ontime"}})', "{{pod}}"
                    ),
                ),
                "OntimeDown",
                width=6,
                least=0,
            ),
            Panel(
                "Log lines lost (lines in ten minutes)",
                "Predictions that were answered and could not be logged; nothing judges them.",
                "short",
                (Query(f"sum by (pod) (increase(ontime_log_lines_dropped_total{{{WHERE}}}[10m]))", "{{pod}}"),),
                "OntimeLogLinesDropped",
                width=6,
                least=0,
            ),
        ),
    ),
)
