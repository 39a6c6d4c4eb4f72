"""The commands that are not stages; they are not listed in `cli.py`, so that a new command reruns no stage."""

OPERATIONS = {
    "init": "ontime.data_source.initialize",
    "tune": "ontime.model_training.tune",
    "track": "ontime.tracking.training_runs",
    "verify": "ontime.verification.graph",
    "cache": "ontime.repository.cache",
    "lock": "ontime.repository.lock",
    "drop": "ontime.repository.drop",
    "s3": "ontime.repository.s3",
    "manifests": "ontime.manifests.command",
    "sign": "ontime.model_deployment.inference.signing",
    "serve": "ontime.model_deployment.service.server",
    "smoke-test": "ontime.model_deployment.service.smoke",
    "score": "ontime.model_deployment.batch.score",
    "image": "ontime.release.image",
    "saved-model": "ontime.model_deployment.export.saved_model",
    "release": "ontime.release.commands",
    "report": "ontime.pull_request.report",
    "comment": "ontime.pull_request.comment",
    "proof": "ontime.pull_request.proof",
    "refresh": "ontime.data_source.refresh",
}
