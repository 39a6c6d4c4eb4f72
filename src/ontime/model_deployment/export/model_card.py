"""The model card: what the model is for, what it was made from and how it does, from the graph's own figures.

Sections after Mitchell et al. 2019, "Model cards for model reporting".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ontime.data_processing.split import Split
from ontime.datasets.source import Data
from ontime.model_evaluation.settings import Decision

BEFORE_REFIT = "before"
"""Among the others that are shown beside the model: the run whose family was fitted again."""
BY_FRACTIONS = {"stratified": "stratified", "group": "by group, each in one part"}
"""How rows are split by the two fractions and the seed."""


@dataclass(frozen=True)
class DecisionRule:
    """What the mistakes cost, and the threshold that follows from that."""

    costs: Decision
    threshold: float


ROWS = {
    "roc_auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "log_loss": "log loss",
    "brier_score": "Brier score",
    "expected_calibration_error": "expected calibration error",
    "cost_per_1000": "cost per 1,000 rows",
    "precision": "precision at the threshold",
    "recall": "recall at the threshold",
    "share_of_events": "share of events",
    "roc_auc_ovr": "ROC AUC of each class against the others, mean",
    "accuracy": "accuracy",
    "f1_macro": "F1 of the classes, mean",
    "rmse": "root mean squared error",
    "mae": "mean absolute error",
    "r2": "R2",
    "mean_error": "mean error",
    "mean_target": "mean target",
    "rows": "rows",
    "sum_of_weights": "sum of weights",
    "mean_probability": "mean probability",
    "mean_prediction": "mean prediction",
}
LIMITS = {
    "event": "- Probabilities are calibrated on the past; drift shows first as a growing calibration error.",
    "classes": "- Probabilities are calibrated on the past; `plots/classes.csv` of the run has each class's figures.",
    "number": "- The errors were measured on past rows; for numbers that no training row comes near they are unknown.",
}
OF_UNIT = ("rmse", "mae", "mean_error", "mean_target", "mean_prediction", "sum_of_weights")
"""Figures of any size: metrics in the target's unit, and sums of weights."""


def title_of(name: str) -> str:
    """A metric, or another figure, as a person reads it."""
    return ROWS.get(name, name.replace("_", " "))


def shown(name: str, value: float | None) -> str:
    """A figure with as many digits as a person uses; `none` where there is no figure."""
    if value is None or value != value:
        return "none"
    if name == "rows":
        return str(int(value))
    return f"{value:.6g}" if name in OF_UNIT else f"{value:.4f}"


def _texts(texts: Mapping[str, Mapping[str, float]]) -> str:
    found = [f"{len(terms)} words and pairs of words of `{name}`" for name, terms in texts.items()]
    return f", {', '.join(found)}" if found else ""


def model_card(
    name: str,
    says: str,
    data: Data,
    split: Split,
    rule: DecisionRule | None,
    champion: str,
    selection: Mapping[str, Any],
    metrics: Mapping[str, Mapping[str, float]],
    others: Mapping[str, Mapping[str, float]],
    training: Mapping[str, Any],
    refit: Mapping[str, Any],
    vocabulary: Mapping[str, Any],
    classes: Sequence[str] = (),
    weight: str | None = None,
) -> str:
    """Markdown for the champion; no date and no path, so that the same model has the same card.

    Args:
        says: what the model says of a row, as a dependent clause; weight: the column of what each row counts.
    """
    measured = {"validation": metrics["validation"], "test": metrics["test"]}
    if refit["refit"]:
        measured = {
            "measured model, validation": metrics["validation"],
            "measured model, test": others[BEFORE_REFIT],
            "served model, test": metrics["test"],
        }
    columns = measured | {f"{name.replace('_', ' ')}, test": others[name] for name in others if name != BEFORE_REFIT}
    table = [
        f"| {title} | " + " | ".join(shown(row, column[row]) for column in columns.values()) + " |"
        for row, title in ROWS.items()
        if row in metrics["test"]
    ]
    candidates = ", ".join(f"{model} {value}" for model, value in selection["candidates"].items())
    how = (
        f"by time: validation from {split.validation_from}, test from {split.test_from}"
        if split.by == "time"
        else f"{BY_FRACTIONS[split.by]}: "
        f"{split.validation_fraction} validation, {split.test_fraction} test, seed {split.seed}"
    )
    if split.until is not None:
        how += f", rows until {split.until}"
    if split.excluded_days:
        how += f", without {', '.join(split.excluded_days)}"
    options = ", ".join(f"{key} {value}" for key, value in data.options.items() if value not in (None, []))
    return "\n".join(
        [
            f"# {name}",
            "",
            f"This model predicts {says}.",
            "",
            *_use(rule, classes),
            "## Training",
            "",
            f"- data: `{data.source}`{f' ({options})' if options else ''}",
            f"- family: {champion}",
            f"- rows: {training['training_rows']}{_events(training, 'training_events')}"
            f"{_weights(training, 'training_sum_of_weights')}",
            *weighted(weight),
            f"- data SHA-256: `{training['training_data_sha256']}`",
            f"- features: {len(vocabulary['numbers'])} numbers, {len(vocabulary['categories'])} categories"
            f"{_texts(vocabulary.get('texts', {}))}",
            f"- split {how}",
            f"- parameters: {', '.join(f'{key} {value}' for key, value in training['parameters'].items())}",
            f"- chosen by {_chosen_by(selection)}: {candidates}",
            "",
            *_served(refit, rule, selection),
            "## Metrics",
            "",
            f"| metric | {' | '.join(columns)} |",
            f"|---|{'---|' * len(columns)}",
            *table,
            "",
            "`report.html` beside this card shows them by month and by group, with pictures.",
            "",
            "## Limits",
            "",
            LIMITS["event" if rule else "classes" if classes else "number"],
            f"- A category with fewer than {split.min_category_rows} training rows is treated as unknown.",
            "- Slices are in `metrics/slices.csv` of the training run: look there before relying on a small group.",
            "",
            *_privacy(data),
        ]
    )


def _privacy(data: Data) -> list[str]:
    """What the model has of persons, and their rights, for GDPR and CCPA."""
    allowed = data.options.get("allow_personal") or []
    used = f"allowed by name: {', '.join(allowed)}" if allowed else "none is used"
    return [
        "## Privacy (GDPR, CCPA)",
        "",
        f"- Columns marked personal in the schema are neither features nor in golden records; {used}.",
        "- Access: `ontime subject KEY` shows what is stored about a person.",
        "- Erasure: `ontime forget KEY` removes a person's rows from the data, and the model is trained again without",
        "  them; a published model that was trained with them is replaced. `docs/privacy.md` says when.",
        "- The register there has purpose, categories of data and receivers, and whether data is sold or shared.",
        "",
    ]


def _chosen_by(selection: Mapping[str, Any]) -> str:
    """The metric that made the champion, and on which rows."""
    if "folds" not in selection:
        return f"validation {selection['metric']}"
    return f"{selection['metric']} over {selection['folds']} folds of {selection['rows']} training and validation rows"


def _served(refit: Mapping[str, Any], rule: DecisionRule | None, selection: Mapping[str, Any]) -> list[str]:
    """Which model was measured where, and which is served."""
    if not refit["refit"]:
        return []
    threshold, same = ("its threshold ", "It has the same threshold. ") if rule else ("", "")
    decided = f"number of steps, {threshold}and that it is champion"
    if "folds" in selection:
        also = " and its threshold" if rule else ""
        decided = f"number of steps{also}, and cross-validation in {selection['folds']} folds that it is champion"
    size = f"{refit['rows']} rows{_events(refit, 'events')}{_weights(refit, 'sum_of_weights')}"
    return [
        "There are two models. The measured model was fitted on the training rows; the validation rows decided its",
        f"{decided}. The served model, which is in this folder, was fitted",
        f"with the same parameters and {refit['steps']} steps on training and validation rows together:",
        f"{size}. {same}The test rows are new to both.",
        "",
    ]


def _use(rule: DecisionRule | None, classes: Sequence[str]) -> list[str]:
    """What the answer is for."""
    known = "The data card in `data/README.md` says what the rows are;"
    if classes:
        return [
            "## Intended use",
            "",
            f"To decide for each row which of {len(classes)} classes it is: the most probable one; costs do not count.",
            f"{known} the model has not been tested on others.",
            "",
        ]
    if rule is None:
        return [
            "## Intended use",
            "",
            f"To estimate it for each row. {known}",
            "the model has not been tested on others.",
            "",
        ]
    return [
        "## Intended use",
        "",
        "It gives a probability, to decide for each row whether to announce the event:",
        f"from {rule.threshold:.4f} on, the threshold that costs least on validation if a false alarm costs",
        f"{rule.costs.false_alarm_cost:g} and a missed event {rule.costs.missed_event_cost:g}. {known}",
        "the model has not been tested on others.",
        "",
    ]


def weighted(weight: str | None) -> list[str]:
    """That rows do not count the same, if they do not."""
    if weight is None:
        return []
    return [f"- Rows are weighted by `{weight}`, in training and in all metrics below; no weight comes with a request."]


def _weights(counts: Mapping[str, Any], name: str) -> str:
    return f", sum of weights: {counts[name]:.6g}" if name in counts else ""


def _events(counts: Mapping[str, Any], name: str) -> str:
    if name not in counts:
        return ""
    return f", events: {counts[name]}" if name.startswith("training") else f", {counts[name]} events"
