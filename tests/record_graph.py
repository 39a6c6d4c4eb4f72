"""A program: run what is stale of the graph in this folder and record it in `dvc.lock`, as `dvc repro` does.

To start Python and load the libraries for each stage, and to write the whole lock after each, is most of what a small
graph costs; here all run in one process, and the lock is written once.
"""

import json
import shlex
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from ontime.common.environment import pin


def main() -> None:
    """Run the stages, each after those that it needs."""
    from dvc.repo import Repo

    from ontime.cli import commands

    repo = Repo()
    with repo.lock:
        graph = repo.index.graph
        order = TopologicalSorter({stage: list(graph.successors(stage)) for stage in graph}).static_order()
        pipeline = [stage for stage in order if not stage.is_data_source]
        for stage in pipeline:
            if not stage.changed():
                continue
            program, *arguments = shlex.split(stage.cmd)
            assert program == "ontime", stage.cmd
            stage.remove_outs(ignore_remove=True)
            commands.main(arguments, standalone_mode=False)
            stage.save()
            stage.commit()
        record(repo, pipeline)


def record(repo: Any, stages: list[Any]) -> None:
    """Write `dvc.lock` anew with what DVC's stages know of themselves."""
    from dvc.stage.serialize import to_single_stage_lockfile
    from ruamel.yaml import YAML

    # plain mappings: ruamel.yaml tags an ordered one, and PyYAML reads what has that tag as a list
    found = json.loads(json.dumps({stage.name: to_single_stage_lockfile(stage) for stage in stages}))
    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    yaml.dump({"schema": "2.0", "stages": found}, Path(repo.root_dir, "dvc.lock"))


if __name__ == "__main__":
    pin()
    main()
