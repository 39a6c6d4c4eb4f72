"""What metrics are called where a person reads them beside others."""

TITLES = {
    "log_loss": "log loss",
    "roc_auc": "ROC AUC",
    "cost_per_1000": "cost per 1,000 rows",
    "roc_auc_ovr": "mean ROC AUC of each class against the others",
    "accuracy": "accuracy",
    "f1_macro": "mean F1 of the classes",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R2",
}
