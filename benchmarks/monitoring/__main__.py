"""What the daily checks find and what they cost, beside NannyML and Evidently, on the second half of 2013 replayed.

`python -m benchmarks.monitoring`. In: a workspace whose graph has run. The model is one as of 1 July; it is asked about
every flight until December, two hours before. Printed: false alarms on sound days, faults found on their first day,
changes of the labels found in seven days, errors of the quality that probabilities alone expect, rows a CPU second and
peak memory. It takes about half an hour; the rivals' environments, of 2 GB, are made at the first run.
"""

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common import finish, print_table
from ontime.common.environment import pin

if TYPE_CHECKING:
    import pandas as pd

    from benchmarks.monitoring.replay import Replay
    from benchmarks.monitoring.rivals_say import Rivals
    from ontime.model_deployment.inference.champion import Champion

MOST_EPISODES = 0.5
"""False alarms in 30 days."""
MOST_ERROR = {"roc_auc": 0.022, "log_loss": 0.034, "cost_per_1000": 38.0}
"""Mean absolute error of a week's expected quality."""
LEAST_RATE = 150_000
"""Rows a CPU second."""
MOST_MIB = 320
TIMES = 4
SOUND, MOST_GROWTH = "sound days", 1.1
"""Peak memory at four times the rows is at most so many times that at once the rows."""

Figures = dict[str, Any]


def input_alarms(
    replay: "Replay", rows: "pd.DataFrame", champion: "Champion", rivals: "Rivals", raw: Path
) -> tuple[Figures, bool]:
    """False alarms and faults found by the inputs' distributions, by us and by the rivals."""
    from benchmarks.monitoring.input_alarms import (
        STARTS,
        alarms_by_day,
        episodes,
        found_on_first_day,
        injected,
        missing_in_raw,
        starts,
    )
    from benchmarks.monitoring.rivals_say import FEW, Said, faulty_days

    alarms = alarms_by_day(replay)
    sound = {day: [alarm["cause"] for alarm in found] for day, found in alarms.items()}
    reasons = {day: missing_in_raw(raw, day, found) for day, found in alarms.items() if found}
    for day, why in reasons.items():
        said = ", ".join(f"{alarm['cause']} by its {alarm['by']}" for alarm in alarms[day][:4])
        print(f"{day}: {said}: {f'true, {why}' if why else 'false'}")
    false = [day for day, reason in reasons.items() if reason is None]
    days = [day for day in sound if not reasons.get(day)]
    rate = round(30 * len(episodes(false)) / len(days), 2)
    print(f"{len(episodes(false))} episodes of false alarms in {len(days)} days, {rate} in 30 days")

    faults = injected(champion.encoder.features)
    found = {one.name: sum(found_on_first_day(replay, rows, champion, sound, one)) for one in faults}
    by_day = dict(list(rows.groupby("day")))
    few = [by_day[day] for day in starts()[:: STARTS // FEW][:FEW]]
    others = {
        "nannyml": rivals.nannyml({SOUND: [by_day[day] for day in days], **faulty_days(rows, faults)}),
        "evidently": rivals.evidently({SOUND: few, **faulty_days(rows, faults, 1)}),
    }
    goals = {one.name: one.goal for one in faults}
    lines = [
        [name, str(said), str(goals.get(name) or ""), *(str(other[name]) for other in others.values())]
        for name, said in [
            (SOUND, Said(len(false), len(days))),
            *((name, Said(n, STARTS)) for name, n in found.items()),
        ]
    ]
    print_table(["days with an alarm", "ontime", "at least", "NannyML", "Evidently"], lines)
    ok = rate <= MOST_EPISODES and all(found[one.name] >= one.goal for one in faults if one.goal)
    return {"false_alarms_in_30_days": rate, "found_on_first_day": found}, ok


def exact_alarms(replay: "Replay", rows: "pd.DataFrame", champion: "Champion", folder: Path) -> tuple[Figures, bool]:
    """Faults that replay and skew find."""
    from benchmarks.monitoring.exact_alarms import found_on_first_day, hidden, sound_alarms
    from benchmarks.monitoring.input_alarms import STARTS

    false = sound_alarms(replay)
    faults = hidden(replay, rows, champion, folder)
    found = {f"{one.name}, by {one.check}": sum(found_on_first_day(replay, champion, one)) for one in faults}
    lines = [[f"sound days, by {check}", f"{len(days)} of {STARTS}"] for check, days in false.items()]
    print_table(["days with an alarm", "ontime"], lines + [[name, f"{n} of {STARTS}"] for name, n in found.items()])
    return {"found_exactly": found}, not any(false.values()) and all(n == STARTS for n in found.values())


def label_alarms(replay: "Replay", rows: "pd.DataFrame", rivals: "Rivals", folder: Path) -> tuple[Figures, bool]:
    """Changes of labels that are found, and the errors of the expected quality."""
    import pandas as pd

    from benchmarks.monitoring.input_alarms import STARTS, episodes, starts
    from benchmarks.monitoring.label_alarms import CHANGES, Labels, errors, seventh_day
    from ontime.common import paths

    labels = Labels(replay, rows, folder)
    sound = labels.sound(sorted(rows["day"].unique()))
    alarmed = [day for day, content in sound.items() if content["alarms"]]
    rate = round(30 * len(episodes(alarmed)) / len(sound), 2)
    shares = {one.name: round(sum(labels.found(one, sound)) / STARTS, 2) for one in CHANGES}
    print(f"labels: {len(episodes(alarmed))} episodes of alarms in {len(sound)} days, {rate} in 30 days")
    goals = {one.name: one.goal for one in CHANGES}
    print_table(
        ["found in seven days", "share", "at least"],
        [[name, f"{share:.2f}", f"{goals[name]:.2f}"] for name, share in shares.items()],
    )
    wrong = errors({start: sound[seventh_day(start)] for start in starts()})
    forward = pd.read_parquet(replay.workspace / paths.FORWARD).rename(columns={"time_hour": "time"})
    threshold = rows.loc[rows["decision"], "probability"].min()
    known = rows.drop(columns="target").merge(labels.labels[["key", "target"]], on="key")
    theirs = rivals.cbpe(forward.assign(decision=forward["probability"] >= threshold), known[known["target"].notna()])
    print_table(
        ["error of a week's expected quality", "ontime", "at most", "NannyML"],
        [
            [name, f"{wrong[name]:.4f}", f"{most:.4f}", f"{theirs:.4f}" if name == "roc_auc" else ""]
            for name, most in MOST_ERROR.items()
        ],
    )
    figures = {
        "label_alarms_in_30_days": rate,
        "found_in_seven_days": shares,
        "error_of_expected": {name: round(value, 4) for name, value in wrong.items()},
        "error_of_nannyml": {"roc_auc": round(theirs, 4)},
    }
    return figures, all(shares[name] >= goals[name] for name in goals) and all(
        wrong[name] <= most for name, most in MOST_ERROR.items()
    )


def throughput(
    replay: "Replay", rivals: "Rivals", rows: "pd.DataFrame", counts: Mapping[str, int], folder: Path
) -> tuple[Figures, bool]:
    """Rows a CPU second and peak memory at once and four times the rows."""
    import pandas as pd

    from benchmarks.monitoring.throughput import Rate, our_rate, rival_rate

    rates: dict[str, list[Rate]] = {}
    for name, count in counts.items():
        for times in (1, TIMES):
            if name == "ontime":
                rate = our_rate(replay, times * count, folder / f"{times}")
            else:
                many = pd.concat([rows] * -(-times * count // len(rows)), ignore_index=True).iloc[: times * count]
                reference = rivals.reference if name == "nannyml" else rivals.june
                rate = rival_rate(name, reference, rivals.write("many", many), times * count, rivals.columns)
            rates.setdefault(name, []).append(rate)
    print_table(
        ["inputs of one day", "rows", "rows a CPU second", "peak MiB"],
        [
            [name, f"{rate.rows:,}", f"{rate.rows_a_cpu_second:,.0f}", f"{rate.peak_mib:,.0f}"]
            for name, both in rates.items()
            for rate in both
        ],
    )
    once, more = rates["ontime"]
    slowest = min(rate.rows_a_cpu_second for rate in (once, more))
    figures = {
        "rows_a_cpu_second": {name: round(min(one.rows_a_cpu_second for one in both)) for name, both in rates.items()},
        "peak_mib": {name: [round(one.peak_mib) for one in both] for name, both in rates.items()},
    }
    flat = more.peak_mib <= MOST_MIB and more.peak_mib <= MOST_GROWTH * once.peak_mib
    return figures, slowest >= LEAST_RATE and flat


def main(counts: Mapping[str, int]) -> None:
    """Print the tables and the verdict."""
    from benchmarks.monitoring.replay import FIRST_DAY, VERSION, Replay, asked_rows, make_replay
    from benchmarks.monitoring.rivals_say import Rivals
    from ontime.common import paths
    from ontime.model_deployment.inference.champion import load_champion

    checkout = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="ontime-monitoring-") as temporary:
        top = Path(temporary)
        replay = Replay(top / "replay")
        rows = make_replay(checkout, replay.workspace)
        champion = load_champion(replay.model, VERSION)
        every = asked_rows(replay.workspace)
        rivals = Rivals(every[every["day"] < FIRST_DAY], champion, top / "rivals")
        parts = [
            input_alarms(replay, rows, champion, rivals, checkout / paths.RAW),
            exact_alarms(replay, rows, champion, top / "late"),
            label_alarms(replay, rows, rivals, top / "labels"),
            throughput(replay, rivals, rows, counts, top / "throughput"),
        ]
    figures: Figures = {}
    for part, _ in parts:
        figures |= part
    goal = {
        "false_alarms_in_30_days": MOST_EPISODES,
        "error_of_expected": MOST_ERROR,
        "rows_a_cpu_second": LEAST_RATE,
        "peak_mib": MOST_MIB,
    }
    finish(figure=figures, goal=goal, ok=all(ok for _, ok in parts))


if __name__ == "__main__":
    pin()
    parser = argparse.ArgumentParser(
        description="the daily checks on half a year replayed, beside NannyML and Evidently"
    )
    parser.add_argument("--rows", type=int, default=340_000, help="of one day; and four times as many")
    parser.add_argument("--rival-rows", type=int, default=40_000, help="the same for the rivals, which are slower")
    given = parser.parse_args()
    main({"ontime": given.rows, "nannyml": given.rival_rows, "evidently": given.rival_rows})
