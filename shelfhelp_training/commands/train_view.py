"""``shelfhelp-train view``."""

from __future__ import annotations

from pathlib import Path

import click

from shelfhelp_ros.errors import ShelfHelpError

PATH = click.Path(path_type=Path)


@click.command("view")
@click.argument("method", type=click.Choice(["detector", "retinanet"]))
@click.option("--config", type=PATH, required=True, help="Configuration of the training.")
@click.option("--output", type=PATH, required=True, help="Folder for train.png and held_out.png.")
@click.option("--count", type=click.IntRange(1, 400), default=24, show_default=True, help="Pictures a sheet.")
@click.option("--columns", type=click.IntRange(1, 40), default=6, show_default=True, help="Pictures a row.")
@click.option("--epoch", type=click.IntRange(min=0), default=0, show_default=True, help="Whose crops are shown.")
@click.option("--window", is_flag=True, help="Show the sheets on the screen as well.")
def command(method: str, config: Path, output: Path, count: int, columns: int, epoch: int, window: bool) -> None:
    """Draw what the network will see: crops and held-out pictures, with their boxes.

    Both are drawn as the network gets them, after cropping, augmentation and resizing. Products are framed in green.
    Where lines slant (orange) products may stand unlabelled, so that nothing is learnt there but the boxes. Look here
    first when a training does not learn.

    \b
    Example:
      shelfhelp-train view retinanet --config config/training/small/retinanet.yaml --output runs/small/view
    """
    from shelfhelp_training.data.contact_sheet import draw_target, sheet, write_sheet
    from shelfhelp_training.data.shelves import read_shelf_data

    data = read_shelf_data(config)
    data.setup("fit")
    assert data.crops is not None
    assert data.held_out is not None
    data.crops.epoch = epoch
    sheets = []
    for name, pictures in (("train", data.crops), ("held_out", data.held_out)):
        drawn = [draw_target(*pictures[index]) for index in range(min(count, len(pictures)))]
        path = output / f"{name}.png"
        write_sheet(sheet(drawn, columns), path)
        click.echo(str(path))
        sheets.append(path)
    if window:
        _show(sheets)


def _show(paths: list[Path]) -> None:
    """A window for each picture. Raises ShelfHelpError where there is no screen."""
    import matplotlib
    from matplotlib import pyplot

    try:
        pyplot.switch_backend("TkAgg")
    except ImportError as error:
        raise ShelfHelpError(f"there is no screen to show a window on ({error}); look at the files instead") from error
    for path in paths:
        figure, axes = pyplot.subplots(num=path.stem)
        axes.imshow(pyplot.imread(path))
        axes.set_axis_off()
        figure.tight_layout()
    pyplot.show()
    matplotlib.pyplot.close("all")
