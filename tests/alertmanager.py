"""Alertmanager and its amtool for tests, built once from their Go module."""

from ontime.manifests.schemas import Definitions
from tests.go_programs import find_program

MODULE, VERSION = "github.com/prometheus/alertmanager", "v0.35.0"
# the module lacks the built web page that the programs embed
PAGE = {"ui/app/dist/index.html": "<!doctype html><title>Alertmanager</title>\n"}


def find_alertmanager() -> str:
    """Path of alertmanager."""
    return find_program(Definitions(MODULE, VERSION, "cmd/alertmanager"), installed=False, files=PAGE)


def find_amtool() -> str:
    """Path of amtool."""
    return find_program(Definitions(MODULE, VERSION, "cmd/amtool"), installed=False, files=PAGE)
