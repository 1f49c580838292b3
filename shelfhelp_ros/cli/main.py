"""The ``shelfhelp`` command: one group, each subcommand in a file of its own, loaded when it is called."""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

import click

from shelfhelp_ros import __version__
from shelfhelp_ros.errors import ShelfHelpError

COMMANDS = {
    "assist": "run the whole assistant: perception, guidance and speech in one process",
    "bench": "measure speed, latency and memory on this machine",
    "compare": "say what changed between two replays of a bag",
    "demo": "find a product on a simulated shelf, over ROS, and write a report",
    "detect": "find every product in pictures",
    "doctor": "say what is installed, what is missing and how to mend it",
    "embed": "turn pictures of single products into vectors",
    "engines": "build, list and remove TensorRT engines for the GPU of this machine",
    "find": "look for one product, given by reference photos, in pictures",
    "products": "list, add and remove the products of the catalogue",
    "replay": "play a bag through the assistant",
    "simulate": "render shelves: as a camera, a bag or a data set",
}


class LazyGroup(click.Group):
    """Loads ``shelfhelp_ros.cli.NAME`` for the subcommand NAME, so that ``--help`` imports nothing heavy."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"shelfhelp_ros.cli.{name}")
        command: click.Command = module.command
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="shelfhelp")
def cli() -> None:
    """Pick one product off a grocery shelf without seeing it.

    Start with `shelfhelp doctor`, then `shelfhelp demo`.
    """


def main() -> NoReturn:
    """Run the command; a ShelfHelpError becomes one line on standard error and exit status 1."""
    try:
        cli(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("shelfhelp: interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ShelfHelpError as error:
        click.echo(f"shelfhelp: error: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    sys.exit(0)
