"""``shelfhelp-evaluate all``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shelfhelp_ros.errors import ShelfHelpError

if TYPE_CHECKING:
    from shelfhelp_training.evaluation.suite import Outcome, Suite

PATH = click.Path(path_type=Path)


@click.command("all")
@click.option("--config", type=PATH, default="config/training/evaluate.yaml", show_default=True, help="What to run.")
@click.option("--models", type=PATH, help="Folder of models; SHELFHELP_MODELS or the package's own by default.")
@click.option("--output", type=PATH, default="output/evaluate", show_default=True, help="Where results are kept.")
@click.option("--page", type=PATH, default="docs/models.md", show_default=True, help="Page with published figures.")
@click.option("--only", multiple=True, help="Run only stages whose names contain this; may be repeated.")
@click.option("--publish", is_flag=True, help="Put the measured tables into the page in place of those it has.")
def command(config: Path, models: Path | None, output: Path, page: Path, only: tuple[str, ...], publish: bool) -> None:
    """Measure every published figure again and compare.

    Prints Markdown tables. What lacks its data is skipped with the reason; what has not changed since an earlier run is
    not run again. The exit status is 1 when a stage failed, or when a figure of the page or of a model's card differs
    by more than the suite's tolerance.

    \b
    Example:
      shelfhelp-evaluate all --config config/training/evaluate.yaml --only retrieval
    """
    from shelfhelp_ros.inference.card import load_card
    from shelfhelp_ros.inference.models import default_model_folder
    from shelfhelp_training.data.shelves import data_folder
    from shelfhelp_training.evaluation.suite import Runner, compare_card, read_suite

    suite = read_suite(config)
    folder = models if models is not None else default_model_folder()
    runner = Runner(suite, output, folder, data_folder().absolute())
    stages = [s for s in suite.stages if not only or any(part in s.name for part in only)]
    outcomes = []
    for number, stage in enumerate(stages, 1):
        click.echo(f"[{number}/{len(stages)}] {stage.name}: {stage.command}", err=True)
        outcomes.append(runner.run(stage))
        click.echo(f"  {_summary(outcomes[-1])}", err=True)
    differences = _tables(suite, outcomes, page, publish)
    rows = [row for outcome in outcomes for row in outcome.rows]
    for model in ("detector", "encoder"):
        card = load_card(folder / f"{model}.onnx")
        differences += [f"{model} {line}" for line in compare_card(card.figures, rows, suite)]
    _conclude(outcomes, differences)


def _summary(outcome: Outcome) -> str:
    if outcome.skipped or outcome.failed:
        return f"skipped: {outcome.skipped}" if outcome.skipped else f"failed: {outcome.failed}"
    return f"{len(outcome.rows)} rows" + (", unchanged since" if outcome.kept else f" in {outcome.seconds:.0f} s")


def _tables(suite: Suite, outcomes: Sequence[Outcome], page: Path, publish: bool) -> list[str]:
    """Print every table, publish or compare those of the page; what differs."""
    from shelfhelp_training.evaluation.suite import cells, compare_tables, markdown, published, replaced

    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    by_stage = {outcome.stage.name: outcome for outcome in outcomes}
    differences: list[str] = []
    for table in suite.tables:
        outcome = by_stage.get(table.stage)
        if outcome is None or not outcome.rows:
            continue
        measured = cells(table, outcome.rows)
        click.echo(f"## {table.name}\n\n`{outcome.stage.command}`\n\n{markdown(measured)}\n")
        if publish:
            text = replaced(text, table.name, measured)
        elif (said := published(text, table.name)) is not None:
            differences += compare_tables(table.name, said, measured, suite)
    if publish:
        page.write_text(text, encoding="utf-8")
        click.echo(f"written: {page}", err=True)
    return differences


def _conclude(outcomes: Sequence[Outcome], differences: Sequence[str]) -> None:
    for outcome in outcomes:
        if outcome.skipped:
            click.echo(f"Skipped {outcome.stage.name}: {outcome.skipped}")
    for line in differences:
        click.echo(f"DIFFERS {line}")
    failed = [outcome.failed for outcome in outcomes if outcome.failed]
    if failed or differences:
        raise ShelfHelpError(
            "; ".join([*failed, *([f"{len(differences)} published figures differ"] * bool(differences))])
        )
    click.echo("Every published figure that could be measured is what was measured.")
