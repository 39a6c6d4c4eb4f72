"""Options of commands that check signatures: who must have signed."""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ontime.model_deployment.inference import signing
from ontime.model_deployment.inference.signing import Signer
from ontime.release.tags import registering


def signer_options(public_key: Path | None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options that say who must have signed; the command gets a Signer, or None, as `signer`.

    Args:
        public_key: default of the option; with None there is no signer unless an option names one.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @click.option(
            "--public-key",
            type=click.Path(path_type=Path),
            default=public_key,
            show_default=public_key is not None,
            help="Public key of the model's signature.",
        )
        @click.option("--identity", default="", help="Keyless: who must have signed; {tag} is the version's tag.")
        @click.option("--identity-provider", default="", help="Keyless: OIDC issuer of the identity.")
        @signing.trust_option
        @functools.wraps(function)
        def with_signer(
            public_key: Path | None, identity: str, identity_provider: str, trust_config: Path | None, **others: Any
        ) -> None:
            if bool(identity) != bool(identity_provider):
                raise click.UsageError("--identity and --identity-provider: both or neither")
            signer = None
            if identity:
                signer = Signer(None, identity, identity_provider, trust_config)
            elif public_key:
                signer = Signer(public_key, trust_config=trust_config)
            function(**others, signer=signer)

        return with_signer

    return decorate


def with_tag(signer: Signer | None, name: str, version: str) -> Signer | None:
    """The signer with the version's tag filled into its identity."""
    return signer and replace(signer, identity=signer.identity.replace("{tag}", registering(name, version)))
