"""Where the tracked files name what belongs to a team, and the model: found by the text around it."""

from dataclasses import dataclass

ROOTS = (
    ".devcontainer",
    ".dvc",
    ".github",
    "argocd",
    "deployment",
    "docs",
    "pipelines",
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "README.md",
)
SERVING = "deployment/configurations/tensorflow-serving"
IAM = "deployment/configurations/iam"
PLATFORM = "argocd/platform/*.yaml"


@dataclass(frozen=True)
class Option:
    """An option of `ontime init`: what a value must look like, one that does, and what it is."""

    form: str
    example: str
    help: str


OPTIONS = {
    "repository": Option(
        r"[A-Za-z0-9](?:-?[A-Za-z0-9])*/[\w-][\w.-]*", "team/model", "OWNER/NAME of this repository on GitHub."
    ),
    "registry": Option(
        r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d+)?", "registry.example", "Host of the registry of the images."
    ),
    "domain": Option(
        r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]+", "team.example", "Domain of Argo CD's page and of the mail."
    ),
    "buckets": Option(
        r"[a-z0-9][a-z0-9-]{1,40}", "team-model", "How the names of the buckets beside the DVC remote's begin."
    ),
    "aws_account": Option(r"\d{12}", "111122223333", "Number of the account of AWS."),
    "region": Option(r"[a-z]{2}(?:-[a-z]+)+-\d", "eu-west-1", "Region of AWS."),
    "google_project": Option(r"\d{6,19}", "123456789012", "Number of the project of Google Cloud."),
    "azure_subscription": Option(
        r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        "00000000-0000-0000-0000-000000000000",
        "Id of the subscription of Azure.",
    ),
    "release_app": Option(r"[1-9]\d*", "1234567", "Id of the GitHub App that opens the pull requests of releases."),
}


@dataclass(frozen=True)
class Place:
    """Where a value stands: files by a pattern of their paths, and what is around the group `value`.

    In `around`, `{repository}` is the present name of the repository.
    """

    name: str
    files: str
    around: str


PLACES = (
    # the first place of a value says what it is now
    Place("repository", "argocd/bootstrap.yaml", r"github\.com/(?P<value>[\w.-]+/[\w.-]+)\.git"),
    Place(
        "repository",
        "*",
        r"(?:github\.com/|repos?[:/]|--repo |--signer-workflow |repository == '|--repository )"
        r"(?P<value>{repository})(?![\w-])",
    ),
    Place("owner", ".github/CODEOWNERS", r"\s@(?P<value>[\w-]+)/"),
    Place("registry", ".github/workflows/*", r"vars\.REGISTRY \|\| '(?P<value>[^']+)'"),
    Place("registry", "docs/*.md", r"`REGISTRY`, if it is not `(?P<value>[^`]+)`"),
    Place("image", "argocd/platform/airflow.yaml", r"repository: (?P<value>\S+)-pipelines"),
    Place("image", "docs/how-to/second-model.md", r"reference: (?P<value>\S+)@sha256"),
    Place("image", "deployment/configurations/*/README.md", r"SERVICE=(?P<value>\S+)@sha256"),
    Place("image", "deployment/configurations/*/README.md", r"(?:--tag|newName:) (?P<value>\S+)-saved-model"),
    Place("domain", "argocd/settings/argocd.yaml", r"https://argocd\.(?P<value>[\w.-]+)"),
    Place("domain", "argocd/platform/kube_prometheus_stack.yaml", r"smtp\.(?P<value>[\w.-]+):"),
    Place("domain", "argocd/platform/kube_prometheus_stack.yaml", r"[\w.-]+@(?P<value>[\w.-]+)"),
    Place("domain", f"{IAM}/google/bucket-policy.json", r"group:[\w.-]+@(?P<value>[\w.-]+)"),
    Place("domain", "docs/how-to/accounts.md", r"https://login\.(?P<value>[\w.-]+)"),
    Place("bucket", f"{IAM}/bucket-policy.json", r"arn:aws:s3:::(?P<value>[^/\"*]+)"),
    Place("bucket", f"{IAM}/*.json", r"arn:aws:s3:::(?P<value>{bucket})(?=[/\"])"),
    Place("bucket", f"{IAM}/google/*.json", r"/buckets/(?P<value>[^/]+)/"),
    Place(
        "bucket",
        f"{IAM}/*.md",
        r"(?:bucket, `|://|--(?:bucket|name|container-name) |--copy-source \")(?P<value>{bucket})(?=[`/\s])",
    ),
    Place("prefix", f"{IAM}/*.json", r"arn:aws:s3:::{bucket}/(?P<value>[^*\"]+)/\*"),
    Place("prefix", f"{IAM}/*.json", r"\"(?P<value>{prefix})(?=/\*\"|\")"),
    Place("prefix", f"{IAM}/google/*.json", r"/objects/(?P<value>[^\"\\]+)/"),
    Place("prefix", f"{IAM}/*.md", r"(?:below `|(?:key|prefix|key is) [\"`]?|{bucket}/)(?P<value>{prefix})(?=/|`| )"),
    Place("storage_account", f"{IAM}/azure/README.md", r"--account (?P<value>[a-z0-9]+)"),
    Place(
        "storage_account", f"{IAM}/azure/README.md", r"(?:-account|-name|create --name) (?P<value>{storage_account})\b"
    ),
    Place("buckets", "argocd/platform/mlflow.yaml", r"bucket: (?P<value>[a-z0-9-]+)-mlflow"),
    Place("buckets", PLATFORM, r"(?:bucket: |s3://)(?P<value>{buckets})-(?:mlflow|databases|predictions)"),
    Place("buckets", "docs/*.md", r"(?:bucket: |s3://)(?P<value>{buckets})-(?:mlflow|databases)"),
    Place("buckets", f"{IAM}/*", r"(?:`|s3:::|s3://)(?P<value>{buckets})-(?:predictions|mlflow|databases)"),
    Place("aws_account", f"{IAM}/bucket-policy.json", r"arn:aws:iam::(?P<value>\d{12}):"),
    Place("aws_account", f"{IAM}/*.json", r"arn:aws:iam::(?P<value>\d{12}):"),
    Place("aws_account", PLATFORM, r"arn:aws:iam::(?P<value>\d{12}):"),
    Place("region", "argocd/platform/mlflow.yaml", r"\bregion: (?P<value>[\w-]+)"),
    Place("region", PLATFORM, r"\bregion: (?P<value>[\w-]+)"),
    Place("region", f"{IAM}/*", r"\boidc\.eks\.(?P<value>[\w-]+)\."),
    Place("region", "docs/how-to/backup.md", r"\bregion: (?P<value>[\w-]+)"),
    Place("region", ".dvc/config", r"\bregion = (?P<value>[\w-]+)"),
    Place("region", ".github/*", r"vars\.AWS_REGION \|\| '(?P<value>[^']+)'"),
    Place("region", ".github/actions/setup/action.yml", r"default: (?P<value>{region})"),
    Place("region", f"{IAM}/README.md", r"`AWS_REGION` where it is not (?P<value>[\w-]*\w)"),
    Place("google_project", f"{IAM}/google/*", r"projects/(?P<value>\d+)/locations"),
    Place("azure_subscription", f"{IAM}/azure/*-role.json", r"/subscriptions/(?P<value>[0-9a-f-]+)/"),
    # the model, which the table names
    Place("model", f"{SERVING}/models.config", r'\bname: "(?P<value>[^"]+)"\s+base_path'),
    Place("model", f"{SERVING}/models.config", r'base_path: "/models/(?P<value>[^"]+)"'),
    Place("model", f"{SERVING}/README.md", r"/models/(?P<value>{model}):"),
    Place(
        "model",
        "deployment/kubernetes/components/tensorflow-serving/deployment.yaml",
        r"/(?:serving|v1/models)/(?P<value>{model})(?=[/\]\s])",
    ),
    Place("model", "README.md", r"/v2/models/(?P<value>{model})\b"),
    Place("event", "README.md", r"\bThis copy predicts (?P<value>[^;]+);"),
    Place("event", "docs/index.md", r"\bThis copy predicts (?P<value>[^;]+);"),
    Place("model", "docs/*.md", r"/v1/models/(?P<value>{model}):"),
    Place("model", "docs/how-to/release.md", r"artifacts get \. (?P<value>{model})\b"),
    Place("release_app", ".github/rulesets/*", r"\"actor_id\": (?P<value>\d+), \"actor_type\": \"Integration\""),
)
