"""Asks a service for the golden records with KServe's own client; run by an environment that has the KServe SDK.

Command line: port, model name, file of golden records. Prints the probabilities by protocol, as JSON.
"""

import asyncio
import json
import sys
from typing import Any

from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig


async def main(port: str, name: str, path: str) -> dict[str, list[float]]:
    """Ask in both protocols."""
    with open(path, encoding="utf-8") as stream:  # noqa: PTH123 - alike in every environment
        records: list[dict[str, Any]] = json.load(stream)["records"]
    address = f"http://127.0.0.1:{port}"
    v1 = InferenceRESTClient(RESTConfig(protocol="v1"))
    answer = await v1.infer(address, {"instances": records}, model_name=name)
    v2 = InferenceRESTClient(RESTConfig(protocol="v2"))
    assert await v2.is_server_ready(address)
    assert await v2.is_model_ready(address, name)
    texts = {feature for record in records for feature, value in record.items() if isinstance(value, str)}
    inputs = [
        InferInput(
            feature, [len(records)], "BYTES" if feature in texts else "FP64", [record[feature] for record in records]
        )
        for feature in records[0]
    ]
    found = await v2.infer(address, InferRequest(model_name=name, infer_inputs=inputs), model_name=name)
    (probability,) = [output for output in found.outputs if output.name == "probability"]
    return {"v1": answer["predictions"], "v2": list(probability.data)}


print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
