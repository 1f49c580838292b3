"""Invented groceries: names, flavours, sizes, shapes and colours, and families that differ in one thing on purpose."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.images import load_image

Shape = Literal["box", "can", "bottle", "pouch"]
Colour = tuple[int, int, int]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Product:
    """One product on sale. Lengths are metres as it stands on the shelf; colours are RGB.

    Two products of one ``family`` are near-duplicates: the same artwork (``style``) but for the flavour, the size or
    one word (``claim``). ``packshot`` names a photo to use as the front instead of a drawing.
    """

    id: str
    name: str
    brand: str
    title: str
    flavour: str
    claim: str
    quantity: str
    category: str
    motif: str
    shape: Shape
    width: float
    height: float
    depth: float
    family: int
    style: int
    base: Colour
    second: Colour
    accent: Colour
    flavour_colour: Colour
    packshot: Path | None = None


@dataclass(frozen=True)
class Kind:
    """What a category of groceries looks like: its shape, the range of its sizes in metres and the words on it."""

    name: str
    shapes: tuple[Shape, ...]
    width: tuple[float, float]
    height: tuple[float, float]
    depth: tuple[float, float]
    titles: tuple[str, ...]
    flavours: tuple[str, ...]
    quantities: tuple[str, ...]


# Flavour: the picture that stands for it and its colour.
FLAVOURS: dict[str, tuple[str, Colour]] = {
    "Strawberry": ("berry", (214, 30, 52)),
    "Raspberry": ("cluster", (196, 22, 84)),
    "Blueberry": ("cluster", (58, 64, 150)),
    "Cherry": ("cherry", (158, 12, 40)),
    "Apple": ("apple", (120, 176, 40)),
    "Red Apple": ("apple", (196, 32, 36)),
    "Peach": ("apple", (246, 156, 92)),
    "Mango": ("apple", (250, 170, 30)),
    "Pear": ("pear", (186, 196, 60)),
    "Orange": ("citrus", (245, 132, 22)),
    "Lemon": ("citrus", (246, 208, 36)),
    "Lime": ("citrus", (130, 190, 44)),
    "Grapefruit": ("citrus", (232, 96, 90)),
    "Tropical": ("citrus", (250, 148, 60)),
    "Grape": ("cluster", (106, 44, 120)),
    "Blackcurrant": ("cluster", (62, 28, 78)),
    "Mint": ("leaf", (40, 158, 110)),
    "Green Tea": ("leaf", (108, 150, 56)),
    "Chamomile": ("flower", (240, 214, 110)),
    "Hibiscus": ("flower", (190, 40, 90)),
    "Rooibos": ("leaf", (176, 76, 34)),
    "Earl Grey": ("cup", (70, 84, 120)),
    "Basil": ("leaf", (60, 134, 50)),
    "Tomato": ("apple", (214, 44, 30)),
    "Chilli": ("pepper", (206, 24, 22)),
    "Paprika": ("pepper", (226, 82, 22)),
    "Sea Salt": ("crisp", (60, 120, 190)),
    "Sour Cream": ("crisp", (92, 160, 92)),
    "Cheese": ("cheese", (246, 186, 40)),
    "Barbecue": ("crisp", (128, 50, 28)),
    "Vinegar": ("crisp", (110, 84, 160)),
    "Chocolate": ("squares", (98, 54, 30)),
    "Dark Chocolate": ("squares", (52, 28, 20)),
    "White Chocolate": ("squares", (238, 222, 186)),
    "Hazelnut": ("nut", (158, 104, 54)),
    "Almond": ("nut", (206, 158, 100)),
    "Caramel": ("drop", (204, 132, 44)),
    "Honey": ("drop", (236, 170, 34)),
    "Vanilla": ("flower", (244, 224, 160)),
    "Coconut": ("citrus", (226, 218, 206)),
    "Cinnamon": ("cookie", (172, 96, 50)),
    "Oats": ("grain", (216, 176, 104)),
    "Wholegrain": ("grain", (176, 124, 58)),
    "Espresso": ("bean", (70, 40, 26)),
    "Decaf": ("bean", (60, 110, 150)),
    "Original": ("sun", (210, 40, 40)),
    "Zero": ("bolt", (30, 30, 34)),
    "Light": ("drop", (150, 196, 226)),
    "Sparkling": ("bubbles", (60, 150, 210)),
    "Still": ("mountain", (80, 170, 220)),
    "Natural": ("wave", (110, 190, 200)),
    "Tuna": ("fish", (50, 110, 160)),
    "Salmon": ("fish", (240, 130, 100)),
    "Chicken": ("bowl", (226, 170, 70)),
    "Beef": ("bowl", (150, 60, 40)),
    "Beans": ("bean", (176, 70, 44)),
    "Chickpeas": ("nut", (222, 186, 110)),
    "Sweetcorn": ("grain", (248, 206, 50)),
    "Peas": ("cluster", (110, 170, 60)),
    "Olives": ("cluster", (104, 114, 44)),
    "Mushroom": ("bowl", (176, 150, 120)),
    "Lavender": ("flower", (142, 110, 190)),
    "Ocean": ("wave", (20, 120, 190)),
    "Spring": ("flower", (130, 200, 80)),
}

FRUIT = ("Strawberry", "Raspberry", "Blueberry", "Cherry", "Apple", "Peach", "Mango", "Orange", "Lemon", "Blackcurrant")
SWEET = (
    "Chocolate", "Dark Chocolate", "White Chocolate", "Hazelnut", "Almond", "Caramel", "Honey", "Vanilla", "Coconut",
)  # fmt: skip

KINDS = (
    Kind(
        "cereal", ("box",), (0.17, 0.22), (0.25, 0.32), (0.045, 0.075),
        ("Crunch", "Flakes", "Pops", "Muesli", "Loops", "Granola", "Pillows", "Morning Stars"),
        ("Honey", "Chocolate", "Oats", "Wholegrain", "Cinnamon", "Strawberry", "Hazelnut", "Red Apple", "Vanilla"),
        ("250 g", "330 g", "375 g", "500 g", "750 g"),
    ),
    Kind(
        "tea", ("box",), (0.11, 0.15), (0.07, 0.13), (0.055, 0.075),
        ("Infusion", "Tea", "Herbal Tea", "Quiet Evening", "Garden Blend", "Breakfast Tea"),
        ("Green Tea", "Chamomile", "Hibiscus", "Mint", "Rooibos", "Earl Grey", "Lemon", "Peach", "Raspberry"),
        ("20 bags", "25 bags", "40 bags", "50 bags"),
    ),
    Kind(
        "biscuits", ("box", "pouch"), (0.13, 0.24), (0.06, 0.17), (0.04, 0.07),
        ("Biscuits", "Cookies", "Wafers", "Shortbread", "Crackers", "Rings", "Sandwich"),
        (*SWEET, "Cinnamon", "Oats", "Lemon", "Sea Salt", "Strawberry"),
        ("125 g", "150 g", "200 g", "300 g"),
    ),
    Kind(
        "crisps", ("pouch",), (0.16, 0.23), (0.22, 0.31), (0.05, 0.085),
        ("Chips", "Crisps", "Tortillas", "Puffs", "Thins", "Waves"),
        ("Sea Salt", "Paprika", "Sour Cream", "Cheese", "Barbecue", "Vinegar", "Chilli", "Lime"),
        ("90 g", "130 g", "150 g", "200 g"),
    ),
    Kind(
        "coffee", ("pouch", "box", "can"), (0.085, 0.13), (0.15, 0.23), (0.06, 0.085),
        ("Coffee", "Roast", "Crema", "Gran Bar", "Filter"),
        ("Espresso", "Decaf", "Original", "Hazelnut", "Caramel", "Vanilla"),
        ("250 g", "500 g", "1 kg"),
    ),
    Kind(
        "soda", ("can",), (0.062, 0.067), (0.115, 0.125), (0.06, 0.067),
        ("Cola", "Soda", "Lemonade", "Tonic", "Ginger Ale", "Fizz", "Spritz"),
        ("Original", "Zero", "Light", "Cherry", "Lemon", "Orange", "Lime", "Peach", "Grapefruit"),
        ("330 ml", "355 ml"),
    ),
    Kind(
        "energy", ("can",), (0.052, 0.066), (0.14, 0.17), (0.05, 0.066),
        ("Energy", "Boost", "Rush", "Power", "Beast", "Volt"),
        ("Original", "Zero", "Tropical", "Blueberry", "Mango", "Lime", "Grapefruit", "Peach"),
        ("250 ml", "500 ml"),
    ),
    Kind(
        "beer", ("can", "bottle"), (0.06, 0.07), (0.16, 0.24), (0.06, 0.07),
        ("Lager", "Pils", "Pale Ale", "Stout", "Weizen", "Radler"),
        ("Original", "Zero", "Light", "Lemon", "Grapefruit"),
        ("330 ml", "500 ml"),
    ),
    Kind(
        "juice", ("bottle", "box"), (0.065, 0.095), (0.19, 0.27), (0.06, 0.09),
        ("Juice", "Nectar", "Smoothie", "Squeeze", "Fruit Drink"),
        (*FRUIT, "Grape", "Tropical", "Tomato", "Pear", "Grapefruit"),
        ("330 ml", "750 ml", "1 l"),
    ),
    Kind(
        "water", ("bottle",), (0.06, 0.088), (0.2, 0.31), (0.06, 0.088),
        ("Water", "Spring", "Mineral Water", "Aqua"),
        ("Still", "Sparkling", "Natural", "Lemon", "Lime", "Strawberry", "Mint"),
        ("500 ml", "750 ml", "1.5 l"),
    ),
    Kind(
        "tin", ("can",), (0.066, 0.1), (0.06, 0.12), (0.066, 0.1),
        ("Selection", "in Brine", "Chunks", "Kitchen", "Garden", "Soup", "Stew"),
        ("Tuna", "Salmon", "Chicken", "Beef", "Beans", "Chickpeas", "Sweetcorn", "Peas", "Olives", "Tomato",
         "Mushroom"),
        ("160 g", "240 g", "400 g"),
    ),
    Kind(
        "pasta", ("box", "pouch"), (0.09, 0.16), (0.17, 0.27), (0.04, 0.07),
        ("Penne", "Fusilli", "Spaghetti", "Farfalle", "Rice", "Risotto", "Couscous"),
        ("Wholegrain", "Original", "Tomato", "Basil", "Chickpeas", "Mushroom", "Beans"),
        ("400 g", "500 g", "1 kg"),
    ),
    Kind(
        "sauce", ("bottle", "can", "pouch"), (0.06, 0.085), (0.13, 0.23), (0.055, 0.08),
        ("Ketchup", "Sauce", "Dressing", "Pesto", "Salsa", "Relish", "Syrup"),
        ("Tomato", "Chilli", "Basil", "Honey", "Barbecue", "Olives", "Caramel", "Mushroom", "Paprika"),
        ("190 g", "300 ml", "450 g"),
    ),
    Kind(
        "chocolate", ("box", "pouch"), (0.075, 0.2), (0.075, 0.17), (0.015, 0.035),
        ("Tablet", "Bar", "Pralines", "Moments", "Truffles", "Squares"),
        (*SWEET, "Raspberry", "Orange", "Mint", "Sea Salt"),
        ("85 g", "100 g", "180 g"),
    ),
    Kind(
        "milk", ("box", "bottle"), (0.065, 0.095), (0.18, 0.25), (0.06, 0.09),
        ("Milk", "Oat Drink", "Barista", "Kefir", "Drinking Yoghurt"),
        ("Natural", "Light", "Vanilla", "Chocolate", "Almond", "Coconut", "Oats", "Strawberry", "Blueberry"),
        ("500 ml", "1 l"),
    ),
    Kind(
        "household", ("bottle", "box", "pouch"), (0.07, 0.17), (0.18, 0.29), (0.05, 0.08),
        ("Washing Liquid", "Cleaner", "Softener", "Tabs", "Soap", "Shampoo"),
        ("Lavender", "Ocean", "Spring", "Lemon", "Orange", "Mint", "Vanilla"),
        ("500 ml", "750 ml", "30 washes"),
    ),
)  # fmt: skip

CLAIMS = (
    "", "", "Bio", "Classic", "Extra", "Fresh", "Fine", "Crispy", "Mild", "Strong", "Family", "Gold", "Organic", "Pure",
    "Sugar Free", "Protein", "Vegan", "Creamy", "Intense", "Traditional", "Crunchy", "Smooth", "Premium", "Double",
)  # fmt: skip

_STARTS = (
    "Ba", "Bel", "Bri", "Ca", "Cor", "Da", "Del", "Do", "El", "Fa", "Fen", "Flo", "Ga", "Gri", "Hal", "Ja", "Jo", "Ka",
    "Kel", "Ki", "La", "Len", "Lo", "Ma", "Mel", "Mi", "Mon", "Na", "Nor", "Ol", "Or", "Pa", "Pe", "Pri", "Qua", "Ra",
    "Ri", "Ro", "Sa", "Sel", "So", "Ta", "Ti", "Tor", "Va", "Vel", "Vi", "Wal", "Wi", "Za", "Zo",
)  # fmt: skip
_MIDDLES = (
    "", "", "", "ri", "la", "mo", "ni", "ta", "ver", "lo", "di", "ba", "ko", "ssi", "ndo", "zi", "pe", "ma", "llo",
)  # fmt: skip
_ENDS = (
    "na", "ra", "ton", "la", "lli", "do", "vo", "mar", "nka", "ssa", "tti", "x", "ro", "den", "field", "berg", "ko",
    "vita", "zo", "mond", "ley", "wick", "ny", "go", "lux", "cha", "sun", "'s", "ly", "co", "more",
)  # fmt: skip


# A packshot in landscape format becomes no wider pack than this, in metres.
WIDEST = 0.4


def make_products(seed: int, count: int, near_duplicates: float = 0.5) -> list[Product]:
    """``count`` different products; the same seed and count give the same ones.

    About ``near_duplicates`` (0..1) of them stand in a family of two to four that differ in the flavour, the size or
    one word only. The rest have no sibling.
    """
    rng = np.random.default_rng([seed, 0x9E37])
    products: list[Product] = []
    family = 0
    while len(products) < count:
        founder = _invent(rng, seed, family)
        members = [founder]
        # A family has three members on average, so a single product has to come up three times as often per share.
        if rng.random() < near_duplicates / (3 - 2 * near_duplicates):
            members = _relatives(rng, founder, int(rng.integers(2, 5)))
        products += members
        family += 1
    return [replace(product, id=f"s{seed}-{index:05d}") for index, product in enumerate(products[:count])]


def family_differences(products: list[Product]) -> dict[int, str]:
    """What the members of each family differ in: ``flavour``, ``size``, ``word``, or nothing for a single product.

    Members of a family that differ in several of them get all of their names, joined by ``+``.
    """
    families: dict[int, list[Product]] = {}
    for product in products:
        families.setdefault(product.family, []).append(product)
    told_by = {"flavour": "flavour", "quantity": "size", "claim": "word"}
    return {
        family: "+".join(name for field, name in told_by.items() if len({getattr(p, field) for p in members}) > 1)
        for family, members in families.items()
    }


def products_from_folder(folder: Path, heights: tuple[float, float] = (0.2, 0.3)) -> list[Product]:
    """One box a picture of the folder: its name is the file's, its front the picture, its height in ``heights`` metres.

    Raises ShelfHelpError when the folder holds no readable picture.
    """
    files = sorted(f for f in folder.glob("*") if f.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp", ".bmp"))
    stems = [file.stem for file in files]
    products = []
    for index, file in enumerate(files):
        image = load_image(file)
        red, green, blue = (round(float(v)) for v in image[:4].reshape(-1, 3).mean(0)[::-1])
        shape = image.shape[1] / image.shape[0]
        height = min(float(np.random.default_rng([index, 77]).uniform(*heights)), WIDEST / shape)
        product = _invent(np.random.default_rng([index, 78]), index, index)
        name = file.stem if stems.count(file.stem) == 1 else file.name
        products.append(
            replace(
                product,
                id=name,
                name=name,
                shape="box",
                height=height,
                width=height * shape,
                depth=0.06,
                packshot=file,
                base=(red, green, blue),
            )
        )
    if not products:
        raise ShelfHelpError(f"no packshots in {folder}; it must hold jpg, png, webp or bmp pictures, one a product")
    return products


def _invent(rng: np.random.Generator, seed: int, family: int) -> Product:
    kind = _pick(rng, KINDS)
    flavour = _pick(rng, kind.flavours)
    shape = _pick(rng, kind.shapes)
    width, height, depth = (float(rng.uniform(*span)) for span in (kind.width, kind.height, kind.depth))
    if shape in ("can", "bottle"):
        depth = width
    base, second, accent = _palette(rng, FLAVOURS[flavour][1])
    product = Product(
        id="", name="", brand=_brand(rng), title=_pick(rng, kind.titles), flavour=flavour, claim=_pick(rng, CLAIMS),
        quantity=_pick(rng, kind.quantities), category=kind.name, motif=FLAVOURS[flavour][0], shape=shape, width=width,
        height=height, depth=depth, family=family, style=int(rng.integers(2**31)), base=base, second=second,
        accent=accent, flavour_colour=_jitter(rng, FLAVOURS[flavour][1]),
    )  # fmt: skip
    return _named(product)


def _relatives(rng: np.random.Generator, founder: Product, count: int) -> list[Product]:
    """The founder and up to ``count`` - 1 siblings, each different from every other in one thing."""
    kind = next(kind for kind in KINDS if kind.name == founder.category)
    differ = _pick(rng, ("flavour", "flavour", "flavour", "quantity", "claim"))
    members = [founder]
    if differ == "flavour":
        others = [flavour for flavour in kind.flavours if flavour != founder.flavour]
        # Some makers recolour the whole pack with the flavour, others change a band and a picture only.
        recolour = bool(rng.random() < 0.35)
        for index in rng.permutation(len(others))[: count - 1]:
            motif, colour = FLAVOURS[others[index]]
            sibling = replace(
                founder, flavour=others[index], motif=motif, flavour_colour=_jitter(rng, colour),
                base=colour if recolour else founder.base,
            )  # fmt: skip
            members.append(sibling)
    elif differ == "quantity":
        others = [quantity for quantity in kind.quantities if quantity != founder.quantity]
        for index in rng.permutation(len(others))[: count - 1]:
            scale = float(rng.uniform(0.85, 1.15))
            members.append(
                replace(
                    founder,
                    quantity=others[index],
                    width=founder.width * scale,
                    height=founder.height * scale,
                    depth=founder.depth * scale,
                )
            )
    else:
        others = [claim for claim in dict.fromkeys(CLAIMS) if claim != founder.claim]
        members += [replace(founder, claim=others[i]) for i in rng.permutation(len(others))[: count - 1]]
    return [_named(member) for member in members]


def _named(product: Product) -> Product:
    words = (product.brand, product.claim, product.flavour, product.title, product.quantity)
    return replace(product, name=" ".join(word for word in words if word))


def _brand(rng: np.random.Generator) -> str:
    name = _pick(rng, _STARTS) + _pick(rng, _MIDDLES) + _pick(rng, _ENDS)
    return name.upper() if rng.random() < 0.35 else name


def _palette(rng: np.random.Generator, flavour: Colour) -> tuple[Colour, Colour, Colour]:
    """Base, second and accent colour: free, taken from the flavour, or pale as many packs are."""
    manner = rng.random()
    hue = float(rng.random())
    if manner < 0.25:
        base = _jitter(rng, flavour)
    elif manner < 0.4:
        base = _hsv(hue, float(rng.uniform(0, 0.12)), float(rng.uniform(0.88, 1)))
    elif manner < 0.48:
        base = _hsv(hue, float(rng.uniform(0, 0.5)), float(rng.uniform(0.06, 0.22)))
    else:
        base = _hsv(hue, float(rng.uniform(0.55, 1)), float(rng.uniform(0.45, 0.95)))
    turn = float(_pick(rng, (0.0, 0.04, 0.08, 0.33, 0.5, 0.58)))
    second = _hsv((hue + turn) % 1, float(rng.uniform(0.3, 1)), float(rng.uniform(0.3, 1)))
    accent = _hsv(float(rng.random()), float(rng.uniform(0.5, 1)), float(rng.uniform(0.6, 1)))
    return base, second, accent


def _hsv(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _jitter(rng: np.random.Generator, colour: Colour) -> Colour:
    moved = np.clip(np.array(colour) + rng.integers(-14, 15, 3), 0, 255)
    return int(moved[0]), int(moved[1]), int(moved[2])


def _pick(rng: np.random.Generator, items: tuple[Item, ...]) -> Item:
    return items[int(rng.integers(len(items)))]
