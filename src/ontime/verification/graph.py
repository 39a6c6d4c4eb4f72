"""Verify that the code reproduces `dvc.lock`: rerun the graph without cache in other environments.

A copy of the checkout runs under another path, user name, home, host name, time zone, locale, umask, hash seed, number
of threads, order of directory listings, date and set of CPU settings, then on other processors; the hash of every
output is compared with `dvc.lock`. The idea is that of reprotest
(https://salsa.debian.org/reproducible-builds/reprotest).
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.repository.dvc import dvc
from ontime.repository.git import git, listed_files
from ontime.repository.lock_file import LOCK, Stages, outputs, read_lock
from ontime.verification.processors.tracing import DEFAULT, RUNS, names_of, on_processor, read_report, totals, why_not

SHUFFLE = Path(__file__).parent / "variation"
RUN_ALONE = ("repro", "--quiet", "--single-item", "--force", "--no-run-cache")


@dataclass(frozen=True)
class Variation:
    """One changed environment, on this machine's processor unless another is named."""

    name: str
    folder: str
    threads: int
    umask: int
    days: int
    listing: str
    variables: Mapping[str, str]
    processor: str | None = None


VARIATIONS = (
    Variation(
        name="one thread",
        folder="a",
        threads=1,
        umask=0o077,
        days=-4000,
        listing="reversed",
        variables={
            "HOSTNAME": "alpha",
            "LC_ALL": "C",
            "LOGNAME": "ada",
            "PYTHONHASHSEED": "1",
            "TZ": "Pacific/Kiritimati",
            "USER": "ada",
            "ARROW_USER_SIMD_LEVEL": "NONE",
            "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-BMI2",
            "NPY_DISABLE_CPU_FEATURES": "X86_V4",
            "OPENBLAS_CORETYPE": "Prescott",
            "TF_ENABLE_ONEDNN_OPTS": "0",
        },
    ),
    Variation(
        name="two threads",
        folder="a much longer folder, with spaces and ümlauts",
        threads=2,
        umask=0o002,
        days=1500,
        listing="sorted",
        variables={
            "HOSTNAME": "beta.example",
            "LC_ALL": "de_DE.UTF-8",
            "LOGNAME": "grace",
            "PYTHONHASHSEED": "4294967295",
            "TZ": "America/St_Johns",
            "USER": "grace",
            "ARROW_USER_SIMD_LEVEL": "SSE4_2",
            "OPENBLAS_CORETYPE": "Zen",
            "OPENBLAS_NUM_THREADS": "2",
            "DNNL_MAX_CPU_ISA": "SSE41",
            "ONEDNN_MAX_CPU_ISA": "SSE41",
        },
    ),
    Variation(
        name="four threads",
        folder="b/c/d",
        threads=4,
        umask=0o022,
        days=3,
        listing="shuffled",
        variables={
            "HOSTNAME": "gamma",
            "LC_ALL": "tr_TR.UTF-8",
            "LOGNAME": "alan",
            "PYTHONHASHSEED": "random",
            "TZ": "Asia/Kathmandu",
            "USER": "alan",
            "ARROW_USER_SIMD_LEVEL": "AVX2",
            "OPENBLAS_CORETYPE": "SkylakeX",
            "OPENBLAS_NUM_THREADS": "4",
        },
    ),
)


class _Proofs(click.Group):
    """`verify` alone checks the lock; with a stage, its running pods; with `release` and a stage, its release file."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        from ontime.release.registry import STAGES_FILE, read_stages

        return ["release", "release-file", *(read_stages() if STAGES_FILE.is_file() else ())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from ontime.verification import proposal, release, running

        if cmd_name not in self.list_commands(ctx):
            return None
        known = {"release": release.command, "release-file": proposal.command}
        return known.get(cmd_name) or running.command_of(cmd_name)


@click.group(name="verify", cls=_Proofs, invoke_without_command=True)
@click.option(
    "--stage", "stages", multiple=True, metavar="NAME", help="Verify only this stage, from the current inputs."
)
@click.option(
    "--processors",
    "requested",
    default=",".join(DEFAULT),
    show_default=True,
    metavar="all|none|NAME,...",
    help="Also run on these other processors.",
)
@click.pass_context
def command(context: click.Context, stages: tuple[str, ...], requested: str) -> None:
    """Rerun the graph in changed environments and compare every output with dvc.lock."""
    if context.invoked_subcommand:
        return
    processors = names_of(requested)
    checkout = Path.cwd()
    locked = read_lock(checkout / LOCK)
    for name in stages:
        if name not in locked:
            raise OntimeError(f"--stage {name}: not in {LOCK}; known: {', '.join(locked)}")
    for variation in VARIATIONS:
        _prove(variation, checkout, locked, stages)
    missing = why_not() if processors else None
    if missing:
        click.echo(f"other processors: skipped: {missing}")
        return
    for name in processors:
        _prove(on_other_processor(name), checkout, locked, stages)


def on_other_processor(name: str) -> Variation:
    """A plain environment on the processor `name`, with its number of threads and kind of approximate results."""
    run = RUNS[name]
    return Variation(
        name=f"processor {name}, {run.kind} reciprocals, {run.threads} thread{'s' if run.threads > 1 else ''}",
        folder="processor",
        threads=run.threads,
        umask=0o022,
        days=0,
        listing="sorted",
        variables={"LC_ALL": "C.UTF-8", "USER": "ada"},
        processor=name,
    )


def _prove(variation: Variation, checkout: Path, locked: Stages, stages: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory(prefix="ontime-verify-") as top:
        copy, report = Path(top) / variation.folder / "checkout", Path(top) / "report"
        copy_checkout(checkout, copy, [name for name in locked if name in stages], locked)
        variables = variables_of(variation, Path(top))
        processor = variation.processor
        tracer = on_processor(processor, RUNS[processor].kind, report) if processor else []
        click.echo(f"{variation.name}: running {', '.join(stages) or 'the whole graph'} without cache", err=True)
        count = 0
        for stage, output, same in compare(copy, locked, stages, variables, variation.umask, tracer):
            if processor:
                refuse_approximate(stage, variation, report)
            if not same:
                raise OntimeError(
                    f"stage {stage}: {output} is not what {LOCK} says ({variation.name}): "
                    "run `dvc repro` and commit dvc.lock if the code or data changed; "
                    "else the stage is not reproducible"
                )
            count += 1
        click.echo(f"{variation.name}: {count} outputs identical to {LOCK}")


def refuse_approximate(stage: str, variation: Variation, report: Path) -> None:
    """Refuse executed instructions whose results depend on the processor, and files that could not be searched."""
    traced = read_report(report)
    if traced.unread:
        raise OntimeError(f"stage {stage}: {traced.unread[0]}: cannot be searched for instructions ({variation.name})")
    if traced.executed:
        counts = ", ".join(totals(traced))
        raise OntimeError(
            f"stage {stage}: executes instructions whose results depend on the processor ({variation.name}): {counts}: "
            "use operations that IEEE 754 defines exactly"
        )


def copy_checkout(checkout: Path, copy: Path, stages: list[str], locked: Stages) -> None:
    """Copy git's files (in reverse order, without modification times) and the data that the stages start from.

    Args:
        stages: the stages to run, whose inputs are copied too; empty for the whole graph.
    """
    names = listed_files(checkout)
    external = checkout / paths.EXTERNAL
    names |= {str(path.relative_to(checkout)) for path in external.rglob("*") if path.is_file()}
    for stage in stages:
        for dependency in locked[stage]["deps"]:
            source = checkout / dependency["path"]
            if not source.exists():
                raise OntimeError(f"{dependency['path']}: not found; run `dvc repro` or `ontime pull` first")
            files = source.rglob("*") if source.is_dir() else [source]
            names |= {str(path.relative_to(checkout)) for path in files if path.is_file()}
    for name in sorted(names, reverse=True):
        if not name.startswith(".dvc/config.local"):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(checkout / name, copy / name)
            os.utime(copy / name, (0, 0))
    git("init", "--quiet", folder=copy)


def variables_of(variation: Variation, top: Path) -> dict[str, str]:
    """The environment variables to change; all others keep their values."""
    home = top / "home" / variation.variables["USER"]
    home.mkdir(parents=True)
    return {
        **variation.variables,
        "HOME": str(home),
        "LANG": variation.variables["LC_ALL"],
        "OMP_NUM_THREADS": str(variation.threads),
        "ONTIME_VARIATION_DAYS": str(variation.days),
        "ONTIME_VARIATION_LISTING": variation.listing,
        "PYTHONPATH": str(SHUFFLE),
        "TMPDIR": str(home),
    }


def compare(
    copy: Path,
    locked: Stages,
    stages: tuple[str, ...],
    variables: Mapping[str, str],
    umask: int,
    before: Sequence[str] = (),
) -> Iterator[tuple[str, str, bool]]:
    """Run stages one by one and yield (stage, output, whether its hash equals the locked one).

    Args:
        before: a command to run DVC under, such as the tracer.
    """
    for stage in stages or tuple(locked):
        try:
            dvc(*RUN_ALONE, stage, folder=copy, variables=variables, umask=umask, under=before)
        except OntimeError as error:
            raise OntimeError(f"stage {stage}: failed in the copy: {error}") from None
        made = outputs(read_lock(copy / LOCK))
        for output in locked[stage]["outs"]:
            yield stage, output["path"], made.get(output["path"]) == output["md5"]
