"""The commands that are no stage of the graph, apart from `cli.py` so that a new one makes no stage run again."""

OPERATIONS = {
    "init": "ontime.repository.initialize",
    "tune": "ontime.model_training.tune",
    "verify": "ontime.model_deployment.verify",
    "cache": "ontime.repository.cache",
    "lock": "ontime.repository.lock",
    "drop": "ontime.repository.drop",
    "s3": "ontime.repository.s3",
    "manifests": "ontime.model_deployment.manifests",
    "sign": "ontime.model_deployment.signing",
    "serve": "ontime.model_deployment.service.server",
    "smoke-test": "ontime.model_deployment.smoke_test",
    "score": "ontime.model_deployment.batch",
    "image": "ontime.model_deployment.image",
    "saved-model": "ontime.model_deployment.tensorflow_serving",
    "release": "ontime.model_deployment.release.commands",
    "report": "ontime.model_evaluation.report",
    "comment": "ontime.repository.pull_request",
    "proof": "ontime.repository.proof",
    "refresh": "ontime.repository.refresh",
}
