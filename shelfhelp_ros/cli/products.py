"""``shelfhelp products``: the catalogue of products to look for."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from shelfhelp_ros.catalogue.store import Catalogue
from shelfhelp_ros.cli.options import PATH, catalogue_option, model_options, print_json
from shelfhelp_ros.errors import ShelfHelpError


@click.group(name="products")
def command() -> None:
    """List, add and remove the products of the catalogue.

    \b
    Examples:
      shelfhelp products add "Oat Crunch" front.jpg side.jpg
      shelfhelp products list
      shelfhelp products remove "Oat Crunch"
    """


@command.command(name="list")
@click.argument("part", default="")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@catalogue_option
def list_products(part: str, as_json: bool, catalogue: Path | None) -> None:
    """List the products whose name contains PART, or all of them."""
    with Catalogue(catalogue) as opened:
        products = opened.list(part)
    for product in products:
        created = datetime.fromtimestamp(product.created_ns / 1e9).astimezone().isoformat(timespec="seconds")
        if as_json:
            print_json({"id": product.id, "name": product.name, "photos": product.photos, "created": created})
        else:
            photos = "1 photo" if product.photos == 1 else f"{product.photos} photos"
            click.echo(f"{product.name}\t{photos}\t{created[:10]}\t{product.id}")
    if not products:
        click.echo("no products" if not part else f"no product has {part!r} in its name", err=True)


@command.command(name="add")
@click.argument("name")
@click.argument("photos", nargs=-1, required=True, type=PATH, metavar="PHOTO…")
@catalogue_option
@model_options
def add_product(
    name: str, photos: tuple[Path, ...], catalogue: Path | None, models: Path | None, backend: str, threads: int | None
) -> None:
    """Add a product by one to five photos, or photos to one that is there.

    Says what could be better about a photo, on standard error, and prints the product as JSON.
    """
    from shelfhelp_ros.catalogue.enrolment import enrol
    from shelfhelp_ros.images import load_image
    from shelfhelp_ros.perception.detector import Detector
    from shelfhelp_ros.perception.encoder import Encoder

    pictures = [load_image(path) for path in photos]
    with Catalogue(catalogue) as opened:
        enrolment = enrol(
            opened, Detector.load(models, backend, threads), Encoder.load(models, backend, threads), name, pictures
        )
        product = opened.get(enrolment.product_id)
    for advice in enrolment.advice:
        click.echo(advice, err=True)
    print_json({"id": product.id, "name": product.name, "photos": product.photos, "accepted": enrolment.accepted})


@command.command(name="remove")
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
@catalogue_option
def remove_products(names: tuple[str, ...], catalogue: Path | None) -> None:
    """Remove products, by name or id."""
    failed = []
    with Catalogue(catalogue) as opened:
        for name in names:
            try:
                click.echo(f"removed {opened.remove(name).name}")
            except ShelfHelpError as error:
                failed.append(str(error))
    if failed:
        raise ShelfHelpError("; ".join(failed))
