"""``shelfhelp-export soup``."""

from __future__ import annotations

from pathlib import Path

import click

PATH = click.Path(path_type=Path)


@click.command("soup")
@click.option(
    "--checkpoint", "checkpoints", type=PATH, required=True, multiple=True,
    help="Checkpoint of one of several trainings from the same start; give the option once for each.",
)  # fmt: skip
@click.option(
    "--greedy", type=PATH, metavar="SETS",
    help="Take in only what does not lower mean recall@1 on these sets (as in config/training/retrieval.yaml), the "
    "best network first; they must not be those of the test.",
)  # fmt: skip
@click.option("--output", type=PATH, required=True, help="Where the checkpoint goes.")
def command(checkpoints: tuple[Path, ...], greedy: Path | None, output: Path) -> None:
    """A checkpoint with the mean of several networks' weights: a uniform or a greedy model soup.

    \b
    Example:
      shelfhelp-export soup --checkpoint runs/clip/a/checkpoints/last.ckpt \\
          --checkpoint runs/clip/b/checkpoints/last.ckpt --output soup.ckpt
    """
    from shelfhelp_training.checkpoints import averaged, read_checkpoint, with_weights, write_checkpoint
    from shelfhelp_training.data.shelves import data_folder
    from shelfhelp_training.evaluation.comparisons import read_sets
    from shelfhelp_training.evaluation.wise_ft import recalls
    from shelfhelp_training.weight_space import Weights, greedy_soup

    read = [read_checkpoint(path) for path in checkpoints]
    if greedy is None:
        soup = averaged(read)
    else:
        sets, root = read_sets(greedy), data_folder()

        def score(weights: Weights) -> float:
            found = recalls(with_weights(read[0], weights, {}), sets, root)
            return sum(found.values()) / len(found)

        best = greedy_soup([checkpoint["state_dict"] for checkpoint in read], score)
        soup = averaged([read[place] for place in best.chosen])
        names = ", ".join(str(checkpoints[place]) for place in best.chosen)
        click.echo(f"mean recall@1 {best.score:.4f} with {names}", err=True)
    write_checkpoint(soup, output)
    click.echo(f"{output}; next: shelfhelp-export encoder --checkpoint {output} --output encoder.onnx")
