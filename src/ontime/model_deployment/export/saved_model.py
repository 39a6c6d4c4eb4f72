"""Write the neural network's run as a SavedModel, which TensorFlow Serving serves.

In: the run, and the champion's folder for the name, the vocabulary and the golden records. Out:
`OUTPUT/<name>/<version>/` with one signature, float32 `features` (rows, features) in and float32 `probability` (rows,),
of classes (rows, classes), of a number `prediction`, out, in `assets.extra/` the vocabulary that clients encode by, and
beside `<name>/` its signature. Made at release and never tracked: a SavedModel has different bytes each time.
"""

import shutil
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from ontime.common import paths
from ontime.common.arrays import Matrix
from ontime.common.errors import OntimeError
from ontime.common.files import replacing
from ontime.model_deployment.export.onnx_graph import INPUT
from ontime.model_deployment.inference.champion import read_encoder
from ontime.model_deployment.inference.golden import read_golden
from ontime.model_deployment.inference.manifest import VOCABULARY, read_manifest
from ontime.model_deployment.inference.signing import sign_folder, trust_option
from ontime.model_training.families import Family, load_model

MODEL = "neural_network"
"""The family whose framework TensorFlow Serving serves."""
SIGNATURE = "serving_default"
"""The signature of a request that names none."""
TOLERANCE = 1e-6
"""Greatest difference between what the SavedModel and the trained model say, as a share of the largest."""


@click.command(name="saved-model")
@click.argument("output", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--version",
    "number",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Number of the version, as models.config names it.",
)
@click.option("--key", type=click.Path(path_type=Path), help="Private key, PEM, to sign OUTPUT/<name>/ with.")
@click.option("--keyless", is_flag=True, help="Sign with this job's OIDC token (Sigstore) instead of a key.")
@trust_option
def command(output: Path, number: int, key: Path | None, keyless: bool, trust_config: Path | None) -> None:
    """Write OUTPUT/<name>/<version>/ for TensorFlow Serving, and sign all versions as OUTPUT/<name>.sig."""
    if keyless and key is not None:
        raise click.UsageError("--keyless signs without a key; leave out --key")
    manifest = read_manifest(paths.CHAMPION)
    # the champion as it is served, else the run
    run = paths.REFIT if manifest.model == MODEL else paths.training_run(MODEL)
    fitted = load_model(MODEL, run / "model")
    folder = output / manifest.name / str(number)
    write_saved_model(fitted, folder, paths.CHAMPION)
    click.echo(f"wrote {folder}")
    signature = folder.parent.with_name(f"{folder.parent.name}.sig")
    if key is not None or keyless:
        sign_folder(folder.parent, signature, key, trust_config)
        click.echo(f"signed {folder.parent}: {signature}")
    else:
        # it would be that of other versions
        signature.unlink(missing_ok=True)


def write_saved_model(fitted: Family, folder: Path, champion: Path) -> None:
    """Export a fitted Keras model, and check the result on the champion's golden records.

    Raises:
        OntimeError: the folder exists, or the SavedModel says something else than the model.
    """
    if folder.exists():
        raise OntimeError(f"{folder}: exists already, and a server may have loaded it; give another --version")
    manifest = read_manifest(champion)
    matrix = read_golden(champion).matrix(read_encoder(champion, manifest))
    expected = fitted.predict(matrix)
    with replacing(folder) as temporary:
        export(fitted.model, temporary, manifest.output)
        difference = np.abs(saved_outputs(temporary, matrix, manifest.output) - expected).max()
        tolerance = TOLERANCE * float(np.abs(expected).max())
        if not difference <= tolerance:
            raise OntimeError(
                f"saved-model: differs from the trained model by up to {difference:.1e}, above {tolerance:.0e}"
            )
        (temporary / "assets.extra").mkdir()
        shutil.copyfile(champion / VOCABULARY, temporary / "assets.extra" / VOCABULARY)


def export(model: Any, folder: Path, output: str) -> None:
    """Write a Keras model with the project's names for input and output."""
    import keras
    import tensorflow as tf

    def said(outputs: Any) -> Any:
        return outputs[:, 0] if model.output_shape[-1] == 1 else outputs

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        SIGNATURE,
        lambda features: {output: said(model(features, training=False))},
        input_signature=[tf.TensorSpec((None, model.input_shape[-1]), tf.float32, name=INPUT)],
    )
    archive.write_out(str(folder), verbose=False)


def saved_outputs(folder: Path, matrix: Matrix, output: str) -> npt.NDArray[np.float32]:
    """What a SavedModel says of rows by its signature."""
    import tensorflow as tf

    # keep the loaded model: its signatures do not hold its variables
    loaded = tf.saved_model.load(str(folder))
    answer = loaded.signatures[SIGNATURE](**{INPUT: tf.constant(matrix)})
    return np.asarray(answer[output])
