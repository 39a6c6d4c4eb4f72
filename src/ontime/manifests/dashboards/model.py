"""The dashboard Model: what it is asked, whether that is exact, and what became of its answers.

Each metric of the daily check is there once a day for the day before; labels of whoever hands it to Prometheus are
dropped.
"""

from ontime.manifests.dashboards.grafana import COLORS, Panel, Query, Row, highest

KINDS = {"truth": COLORS["neutral"], "expected": COLORS["canary"]}


def quality(metric: str) -> tuple[Query, ...]:
    """Metrics, of which a task has one, as it was and as it is expected to be."""
    return (Query(f'max by (kind) (ontime_monitor_quality{{metric=~"{metric}"}})', "{{kind}}"),)


def by_input(metric: str) -> Query:
    """A metric of the eight inputs that have most of it."""
    return Query(highest(f"max by (input) ({metric})", "input"), "{{input}}")


ROWS = (
    Row(
        "The daily check",
        (
            Panel(
                "Last day looked at (date)",
                "By check. A check that stays behind does not run, or fails.",
                "time:YYYY-MM-DD",
                (Query("max by (check) (ontime_monitor_day_timestamp_seconds) * 1000", "{{check}}"),),
                "OntimeMonitorStopped",
                kind="stat",
                height=6,
            ),
            Panel(
                "Alarms (causes a day)",
                "By check: how many inputs, series of labels, or answers are beyond their limits.",
                "short",
                (Query("max by (check) (ontime_monitor_alarms)", "{{check}}"),),
                "OntimeInputsMoved",
                height=6,
                draw="steps",
                least=0,
                decimals=0,
            ),
            Panel(
                "Predictions (rows a day)",
                "Rows of the log, of all versions.",
                "short",
                (Query("max(ontime_monitor_rows)", "rows"),),
                "OntimeMonitorStopped",
                width=8,
                height=6,
                draw="steps",
                least=0,
            ),
            Panel(
                "Open incidents (incidents)",
                "One for each cause of an alarm, until it was absent for so many days as monitor.sound_days says.",
                "short",
                (Query("max(ontime_monitor_incidents_open)", "incidents"),),
                "OntimeInputsMoved",
                width=8,
                height=6,
                draw="steps",
                least=0,
                decimals=0,
            ),
            Panel(
                "Quarantined days (days)",
                "Days with an alarm of the inputs: nothing is compared with them or trained on them.",
                "short",
                (Query("max(ontime_monitor_quarantined_days)", "days"),),
                "OntimeDaysQuarantined",
                width=8,
                height=6,
                draw="steps",
                least=0,
                decimals=0,
            ),
        ),
    ),
    Row(
        "Inputs",
        (
            Panel(
                "Inputs that moved most (share of their limit)",
                "Population stability index of a day against the sound days before it; 1 is the input's own limit. The "
                "eight inputs that come nearest to theirs.",
                "percentunit",
                (
                    Query(
                        highest(
                            "max by (input) (ontime_monitor_input_shift)"
                            " / max by (input) (ontime_monitor_input_shift_limit)",
                            "input",
                        ),
                        "{{input}}",
                    ),
                ),
                "OntimeInputsMoved",
                width=24,
                height=9,
                draw="steps",
                least=0,
                limit=1,
            ),
            Panel(
                "Shift of the predictions (index)",
                "Population stability index of the model's own answers, and its limit.",
                "none",
                (
                    Query('max(ontime_monitor_input_shift{input="(probability)"})', "shift"),
                    Query('max(ontime_monitor_input_shift_limit{input="(probability)"})', "limit"),
                ),
                "OntimeInputsMoved",
                width=8,
                draw="steps",
                least=0,
                colors={"shift": COLORS["neutral"], "limit": COLORS["bad"]},
            ),
            Panel(
                "Missing values (share of the rows)",
                "The eight inputs that are missing most often.",
                "percentunit",
                (by_input("ontime_monitor_input_missing_share"),),
                "OntimeFeatureMissing",
                width=8,
                draw="steps",
                least=0,
            ),
            Panel(
                "Unknown categories (share of the rows)",
                "Values that were in no training row, or in too few.",
                "percentunit",
                (by_input("ontime_monitor_input_unknown_share"),),
                "OntimeInputsMoved",
                width=8,
                draw="steps",
                least=0,
            ),
        ),
    ),
    Row(
        "Exact checks",
        (
            Panel(
                "Replayed predictions (rows a day)",
                "Logged rows that were scored again, and those that got another probability.",
                "short",
                (
                    Query("max(ontime_monitor_replayed_rows)", "replayed"),
                    Query("max(ontime_monitor_replay_differing_rows)", "differing"),
                ),
                "OntimeReplayDiffers",
                draw="steps",
                least=0,
                colors={"replayed": COLORS["neutral"], "differing": COLORS["bad"]},
            ),
            Panel(
                "Inputs that differ from the graph's (share of the compared rows)",
                "Logged inputs beside those that the graph computes for the same keys; the eight that differ most.",
                "percentunit",
                (by_input("ontime_monitor_skew_differing_share"),),
                "OntimeSkew",
                draw="steps",
                least=0,
            ),
        ),
    ),
    Row(
        "Labels and quality",
        (
            Panel(
                "ROC AUC, of classes accuracy (share)",
                "Of seven days: as it was, and as is expected.",
                "none",
                quality("roc_auc|accuracy"),
                "OntimeQualityBelowExpected",
                width=8,
                draw="steps",
                decimals=2,
                colors=KINDS,
            ),
            Panel(
                "Loss (nats a row, or the number's unit)",
                "Of seven days: as it was, and as is expected.",
                "none",
                quality("log_loss|rmse"),
                "OntimeQualityBelowExpected",
                width=8,
                draw="steps",
                decimals=2,
                colors=KINDS,
            ),
            Panel(
                "Cost (units per 1,000 rows)",
                "Of seven days, by the costs of params.yaml: as it was, and as the probabilities alone let expect.",
                "none",
                quality("cost_per_1000"),
                "OntimeCostsMoreThanNoModel",
                width=8,
                draw="steps",
                least=0,
                colors=KINDS,
            ),
            Panel(
                "Series of labels that moved most (share of their limit)",
                "Seven days each, of all rows and of each segment less the rest; 1 is the series' own limit.",
                "percentunit",
                (
                    Query(
                        highest(
                            "abs(max by (series, segment) (ontime_monitor_label_shift))"
                            " / max by (series, segment) (ontime_monitor_label_shift_limit)",
                            "series, segment",
                        ),
                        "{{series}} {{segment}}",
                    ),
                ),
                "OntimeLabelsMoved",
                width=24,
                height=9,
                draw="steps",
                least=0,
                limit=1,
            ),
            Panel(
                "Loss by segment (nats a row, or the number's unit)",
                "Of seven days: the eight segments with the highest.",
                "none",
                (
                    Query(
                        highest(
                            'max by (segment) (ontime_monitor_segment_quality{metric=~"log_loss|rmse"})', "segment"
                        ),
                        "{{segment}}",
                    ),
                ),
                "OntimeLabelsMoved",
                width=8,
                draw="steps",
                decimals=2,
            ),
            Panel(
                "Labels (rows a day)",
                "With a label; without one; whose label came after the watermark; whose label changed.",
                "short",
                tuple(
                    Query(f"max(ontime_monitor_{name}_rows)", told)
                    for name, told in (
                        ("labelled", "labelled"),
                        ("label_missing", "missing"),
                        ("label_late", "late"),
                        ("label_contradicted", "contradicted"),
                    )
                ),
                "OntimeLabelsMissing",
                width=8,
                draw="steps",
                least=0,
            ),
            Panel(
                "Label lag (seconds)",
                "From a prediction to its label, on the mean.",
                "s",
                (Query("max(ontime_monitor_label_lag_seconds)", "lag"),),
                "OntimeLabelsLate",
                width=8,
                draw="steps",
                least=0,
                decimals=1,
            ),
        ),
    ),
)
