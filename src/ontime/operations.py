"""The commands that are no stage of the graph, apart from `cli.py` so that a new one makes no stage run again."""

OPERATIONS = {
    "init": "ontime.repository.initialize",
    "tune": "ontime.model_training.tune",
    "verify": "ontime.model_deployment.verify",
    "cache": "ontime.repository.cache",
    "lock": "ontime.repository.lock",
    "s3": "ontime.repository.s3",
    "sign": "ontime.model_deployment.signing",
    "serve": "ontime.model_deployment.service.server",
    "report": "ontime.model_evaluation.report",
    "comment": "ontime.repository.pull_request",
}
