"""What a comparison of two champions means, in words, for a person who reads no table."""

from collections.abc import Sequence

from ontime.model_evaluation.titles import TITLES
from ontime.pull_request.gate import Comparison

MOST_NAMED = 6
"""Comparisons that one line names."""


def in_words(metrics: Sequence[Comparison], slices: Sequence[Comparison]) -> str:
    """A list in Markdown: what is worse than allowed, worse, better, and how much differs by no more than chance."""
    every = [*metrics, *slices]
    kinds = {
        "**Worse than allowed**": [one for one in every if one.regressed],
        "Worse beyond chance, within what is allowed": [one for one in every if one.low > 0 and not one.regressed],
        "Better beyond chance": [one for one in every if one.high < 0],
    }
    lines = [f"- {kind}: {_named(found)}." for kind, found in kinds.items() if found]
    rest = sum(one.low <= 0 <= one.high and not one.regressed for one in every)
    if rest:
        lines.append(f"- No difference beyond chance: {rest} of {len(every)} comparisons.")
    return "\n".join(lines)


def mark(one: Comparison) -> str:
    """A word for a comparison of which the whole interval says the same."""
    if one.regressed:
        return "**regressed**"
    return "worse" if one.low > 0 else "better" if one.high < 0 else ""


def title_of(metric: str) -> str:
    """A metric as a person reads it."""
    return TITLES.get(metric, metric)


def escaped(text: str) -> str:
    """Text that is no Markdown table's end and no HTML."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _named(found: Sequence[Comparison]) -> str:
    named = [
        f"{escaped(title_of(one.name))}{f' ({title_of(one.metric)})' if one.metric not in (None, one.name) else ''} "
        f"from {one.base:.4f} to {one.head:.4f}"
        for one in found[:MOST_NAMED]
    ]
    return "; ".join(named) + (f"; and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else "")
