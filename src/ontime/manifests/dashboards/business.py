"""The dashboard Business: warnings and their cost by week, in money.

The daily check gives numbers of rows a day, which Prometheus keeps until the next ones; seven times the mean of a week
is the week's sum. Cost it gives per 1,000 rows of seven days. A unit of cost is that of the section `decision` of
params.yaml; what it is worth is typed in the dashboard.
"""

from ontime.manifests.dashboards.grafana import COLORS, Panel, Query, Row

WEEK = "1w"
OUTCOMES = {"right": COLORS["good"], "false": COLORS["canary"], "missed": COLORS["bad"]}
POLICIES = {"model": "the model", "never_warn": "no warning", "group_rate": "the group's rate"}


def week(name: str, labels: str = "") -> str:
    """The sum of a week of daily values."""
    return f"max(7 * avg_over_time(ontime_monitor_{name}{labels}[7d]))"


def cost(policy: str) -> str:
    """A week's cost of a policy, in money: what 1,000 rows cost, times the week's rows."""
    return f'$unit_price / 1000 * max(ontime_monitor_cost{{policy="{policy}"}}) * {week("labelled_rows")}'


def warnings(outcome: str) -> str:
    """A week's warnings with an outcome."""
    selector = f'{{outcome="{outcome}"}}'
    return week("warnings", selector)


def saved(than: str) -> str:
    """What the model saved in a week, in money."""
    return f"{cost(than)}\n- {cost('model')}"


def share(other: str) -> str:
    """Right warnings as a share of these and others, in the time shown."""
    right, rest = (
        f'max(avg_over_time(ontime_monitor_warnings{{outcome="{outcome}"}}[$__range]))' for outcome in ("right", other)
    )
    return f"{right} / ({right} + {rest})"


ROWS = (
    Row(
        "In the time shown",
        (
            Panel(
                "Saved (money, in whole weeks)",
                "How much less the model's warnings cost than no warning at all, or than warnings by the group's rate.",
                "currencyUSD",
                (
                    Query(f"sum_over_time(({saved('never_warn')})[$__range:1w])", "than no warning"),
                    Query(f"sum_over_time(({saved('group_rate')})[$__range:1w])", "than the group's rate"),
                ),
                "OntimeCostsMoreThanNoModel",
                kind="stat",
                height=5,
                decimals=2,
            ),
            Panel(
                "Warnings that were right, and events that were warned of (share)",
                "The first is the share of all warnings, the second that of all events.",
                "percentunit",
                tuple(
                    Query(share(other), name)
                    for other, name in (("false", "of the warnings"), ("missed", "of the events"))
                ),
                "OntimeQualityBelowExpected",
                kind="stat",
                height=5,
                decimals=0,
            ),
        ),
    ),
    Row(
        "By week",
        (
            Panel(
                "Warnings (rows a week)",
                "Right: warned, and it happened. False: warned, and it did not. Missed: not warned, and it happened.",
                "short",
                tuple(Query(warnings(outcome), outcome) for outcome in OUTCOMES),
                "OntimeQualityBelowExpected",
                draw="bars",
                stacked=True,
                interval=WEEK,
                least=0,
                decimals=0,
                colors=OUTCOMES,
            ),
            Panel(
                "Right warnings and events warned of (share a week)",
                "The first is the share of all warnings, the second that of all events.",
                "percentunit",
                tuple(
                    Query(f"{warnings('right')} / ({warnings('right')} + {warnings(other)})", name)
                    for other, name in (("false", "of the warnings"), ("missed", "of the events"))
                ),
                "OntimeQualityBelowExpected",
                interval=WEEK,
                least=0,
            ),
            Panel(
                "Cost (money a week)",
                "Of the model's warnings, of no warning at all, and of a warning by the rate of the group alone.",
                "currencyUSD",
                tuple(Query(cost(policy), name) for policy, name in POLICIES.items()),
                "OntimeCostsMoreThanNoModel",
                interval=WEEK,
                least=0,
                colors={
                    "the model": COLORS["neutral"],
                    "no warning": COLORS["bad"],
                    "the group's rate": COLORS["canary"],
                },
            ),
            Panel(
                "Saved (money a week)",
                "What the model's warnings cost less; below zero they cost more.",
                "currencyUSD",
                tuple(Query(saved(policy), f"than {POLICIES[policy]}") for policy in ("never_warn", "group_rate")),
                "OntimeCostsMoreThanNoModel",
                interval=WEEK,
                colors={"than no warning": COLORS["good"], "than the group's rate": COLORS["neutral"]},
            ),
            Panel(
                "Rows whose label is known (rows a week)",
                "What the other panels of this page count.",
                "short",
                (Query(week("labelled_rows"), "rows"),),
                "OntimeLabelsMissing",
                draw="bars",
                interval=WEEK,
                least=0,
            ),
        ),
    ),
)
