"""The metrics of several checks as one text, and the way to a Pushgateway."""

import re
from collections.abc import Iterable

import requests

from ontime.common.errors import OntimeError, root_cause

SECONDS = 30
JOB = "ontime_monitor"
NAME = re.compile(r"(?:# (?:HELP|TYPE) )?([a-zA-Z_:][a-zA-Z0-9_:]*)")


def merged(texts: Iterable[str]) -> str:
    """Texts in Prometheus' format as one, in which each metric has one description and all its samples."""
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for line in (line for text in texts for line in text.splitlines() if line):
        found = NAME.match(line)
        name = found[1] if found else ""
        heads.setdefault(name, [])
        if not line.startswith("#"):
            samples.setdefault(name, []).append(line)
        elif line not in heads[name]:
            heads[name].append(line)
    return "".join(f"{line}\n" for name, head in heads.items() for line in [*head, *samples.get(name, [])])


def push(url: str, text: str) -> None:
    """Replace the metrics of the job at a Pushgateway.

    Raises:
        OntimeError: it does not answer, or refuses them.
    """
    address = f"{url.rstrip('/')}/metrics/job/{JOB}"
    try:
        response = requests.put(address, text.encode(), headers={"Content-Type": "text/plain"}, timeout=SECONDS)
    except requests.RequestException as error:
        raise OntimeError(f"PUT {address}: {root_cause(error)}; is a Pushgateway there?") from None
    if not response.ok:
        raise OntimeError(f"PUT {address}: {response.status_code} {response.reason}: {response.text[:200]!r}")
