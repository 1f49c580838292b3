"""Reliability: the error of known probabilities, forecasts never of what was fitted, and the open set's shares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn comes with the extra 'training'")

from shelfhelp_training.calibration import Doubles, Episode, Situation, calibrate
from shelfhelp_training.evaluation import open_set
from shelfhelp_training.evaluation.reliability import (
    METHODS,
    SHIPPED,
    Forecast,
    Forecasts,
    cross_fit,
    draw,
    leave_kind_out,
)


def searches(count: int, seed: int, shift: float = 0.0) -> list[Episode]:
    """Searches on shelves of ten; right answers are more similar, all by ``shift`` in another light."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        similarity = rng.normal(0.3 + shift, 0.12, 10).astype(np.float32)
        same = np.zeros(10, bool)
        if number % 2:
            same[0], similarity[0] = True, rng.normal(0.6 + shift, 0.12)
        names = {"product": f"p{number % 20}", "family": f"f{number % 20 // 2}", "photo": f"photo {number // 20 % 6}"}
        other = rng.normal(0.3 + shift, 0.12, 10).astype(np.float32)
        situation = Situation.THERE if number % 2 else Situation.ELSEWHERE
        found.append(Episode(similarity, same, other, np.eye(10, dtype=np.float32), situation, **names))
    return found


def test_probabilities_that_come_true_have_no_error() -> None:
    """Outcomes drawn with the probabilities given: nearly 0; with 0.2 too much: 0.2."""
    rng = np.random.default_rng(0)
    probability = rng.uniform(0, 0.8, 100_000)
    right = rng.random(len(probability)) < probability
    weight = np.ones(len(probability))
    assert Forecasts(probability, right, weight).calibration_error < 0.01
    assert Forecasts(probability + 0.2, right, weight).calibration_error == pytest.approx(0.2, abs=0.01)


def test_weights_count() -> None:
    """Two searches of which the wrong one weighs nothing."""
    forecasts = Forecasts(np.array([0.9, 0.9]), np.array([True, False]), np.array([1.0, 0.0]))
    assert forecasts.calibration_error == pytest.approx(0.1)
    assert forecasts.brier == pytest.approx(0.01)


def test_nothing_is_judged_by_a_fit_that_saw_it() -> None:
    """Families and photographs of the judged searches are not among the fitted ones, and every search is judged."""
    fitted: list[tuple[set[str], set[str]]] = []
    judged: list[str] = []

    def spy(episodes: list[Episode], weight: Doubles) -> Forecast:
        assert len(episodes) == len(weight)
        fitted.append(({e.family for e in episodes}, {e.photo for e in episodes}))

        def forecast(episode: Episode) -> float:
            assert episode.family not in fitted[-1][0]
            assert episode.photo not in fitted[-1][1]
            judged.append(episode.product)
            return 0.5

        return forecast

    episodes = searches(240, 0)
    cross_fit([episodes], spy)
    assert len(judged) == len(episodes)


def test_a_kind_of_one_photo_and_one_family_is_still_judged() -> None:
    """Products divide it then."""
    from dataclasses import replace

    alike = [replace(e, family="all", photo="one") for e in searches(240, 0)]
    forecasts = cross_fit([alike], METHODS[SHIPPED])
    assert (forecasts.probability > 0).all()


@pytest.mark.parametrize("name", METHODS)
def test_every_method_comes_true_on_searches_drawn_alike(name: str) -> None:
    """On fresh searches of the same kind, within what so few can show."""
    assert cross_fit([searches(1200, 1)], METHODS[name]).calibration_error < 0.08


def test_another_light_shows_when_its_kind_is_left_out() -> None:
    """Fitted on other shelves alone, probabilities of shelves with higher similarities are too high."""
    kinds = [searches(600, 1), searches(600, 2, shift=0.25)]
    assert leave_kind_out(kinds, METHODS[SHIPPED]).calibration_error > 0.15


def test_open_set_shares_by_hand() -> None:
    """Above every level nothing is named; the lower the bar, the more is found and the more is claimed."""
    kinds = {"drawn": searches(600, 3)}
    calibration = calibrate(list(kinds.values()), "drawn")
    curve = [row for row in open_set.curve(list(kinds.values()), calibration) if row["catalogue"] == "nothing"]
    found, claimed = ([row[key] for row in curve] for key in ("found", "elsewhere, named"))
    assert found == sorted(found, reverse=True)
    assert claimed == sorted(claimed, reverse=True)
    assert found[0] > 0.5
    rows = list(open_set.rows(kinds, list(kinds.values()), calibration))
    assert len(rows) == 3 * 3 * 2
    for row in rows:
        expected = 0.5 * row["wrong crop"] + 0.5 * row["elsewhere, named"]
        assert row["wrong named"] == pytest.approx(expected)
        assert np.isnan(row["sold out, named"])


def test_the_diagram_is_drawn(tmp_path: Path) -> None:
    """A small picture with something in it."""
    pytest.importorskip("matplotlib", reason="matplotlib comes with the extra 'sim'")
    import cv2

    draw({"drawn": cross_fit([searches(300, 1)], METHODS[SHIPPED])}, tmp_path / "new" / "reliability.png")
    picture = cv2.imread(str(tmp_path / "new" / "reliability.png"))
    assert picture is not None
    assert picture.std() > 5
    assert (tmp_path / "new" / "reliability.png").stat().st_size < 60_000
