"""How probabilities of an event are judged: with the two costs of `params.yaml`, which choose the threshold."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pandas as pd

from ontime.common.arrays import Outputs, Target, Weights
from ontime.common.params import load_section
from ontime.model_evaluation.judge import Judge, Rule
from ontime.model_evaluation.metrics import best_threshold, curves, slice_figures, summarize
from ontime.model_evaluation.settings import Decision

THRESHOLD = "threshold"


class BinaryJudge(Judge):
    """Judges probabilities (rows,) of events 0 or 1 (rows,)."""

    accepted = ("roc_auc", "pr_auc", "log_loss", "brier_score", "cost_per_1000")
    slice_metric = "roc_auc"
    slice_columns = ("share_of_events", "mean_probability", "roc_auc", "cost_per_1000")
    compared = ("log_loss", "roc_auc", "cost_per_1000")
    pair = ("share_of_events", "mean_probability")
    drawn: ClassVar[dict[str, tuple[str, str, str]]] = {
        "roc": ("false_positive_rate", "true_positive_rate", "ROC on test"),
        "calibration": ("probability", "share_of_events", "Calibration on test"),
    }

    def __init__(self, classes: Sequence[str] = ()) -> None:
        super().__init__(classes)
        self.decision = load_section("decision", Decision)

    def rule(self, target: Target, outputs: Outputs, weights: Weights | None = None) -> Rule:
        """The threshold with the least cost."""
        return {THRESHOLD: best_threshold(target, outputs, self.decision, weights)}

    def summarize(self, target: Target, outputs: Outputs, rule: Rule, weights: Weights | None = None) -> dict[str, Any]:
        """Areas, losses, calibration, and cost, precision and recall at the threshold."""
        return summarize(target, outputs, rule[THRESHOLD], self.decision, weights)

    def slice_figures(
        self, target: Target, outputs: Outputs, rule: Rule, weights: Weights | None = None
    ) -> Mapping[str, Any]:
        """Share of events, ROC AUC, mean probability and cost."""
        return slice_figures(target, outputs, rule[THRESHOLD], self.decision, weights)

    def curves(self, target: Target, outputs: Outputs, weights: Weights | None = None) -> dict[str, pd.DataFrame]:
        """ROC, precision-recall and calibration."""
        return curves(target, outputs, weights)
