"""Do probabilities come true? Reliability of the best candidate of a look, always on episodes the fit did not see.

Cross-fitting: families and photographs are dealt into folds; what is judged shares neither with what was fitted.
Leaving one kind of shelf out asks how a calibration carries over to a shop that nobody fitted on. Expected calibration
error (Naeini et al., AAAI 2015) over ten bins of equal width, with the weights of the episodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.catalogue.matching import sigmoid
from shelfhelp_training.calibration import Doubles, Episode, Flags, Kinds, features, fit_logistic, weights

BINS = 10
FOLDS = 3

Features = Callable[[Episode], Doubles]
Forecast = Callable[[Episode], float]
Fit = Callable[[Sequence[Episode], Doubles], Forecast]


@dataclass(frozen=True)
class Forecasts:
    """For E episodes the probability given to the most similar crop, whether it was right, and the episode's weight."""

    probability: Doubles
    right: Flags
    weight: Doubles

    def only(self, chosen: Flags) -> Forecasts:
        return Forecasts(self.probability[chosen], self.right[chosen], self.weight[chosen])

    def bins(self) -> list[tuple[float, float, float]]:
        """Of each bin that is not empty: mean probability, share that was right, share of the weight."""
        number = np.minimum((self.probability * BINS).astype(int), BINS - 1)
        found = []
        for b in range(BINS):
            if (inside := number == b).any() and (total := self.weight[inside].sum()) > 0:
                mean, came_true = (
                    np.average(v[inside], weights=self.weight[inside]) for v in (self.probability, self.right)
                )
                found.append((float(mean), float(came_true), float(total / self.weight.sum())))
        return found

    @property
    def calibration_error(self) -> float:
        return sum(share * abs(mean - came_true) for mean, came_true, share in self.bins())

    @property
    def brier(self) -> float:
        return float(np.average((self.probability - self.right) ** 2, weights=self.weight))

    @property
    def log_loss(self) -> float:
        p = np.clip(self.probability, 1e-4, 1 - 1e-4)
        return float(np.average(-np.where(self.right, np.log(p), np.log(1 - p)), weights=self.weight))


def cross_fit(kinds: Kinds, fit: Fit) -> Forecasts:
    """Every episode forecast by a fit that saw neither its family nor its photograph."""
    everything = [e for kind in kinds for e in kind]
    weight = weights(kinds)
    product = np.concatenate([_folds([e.product for e in kind]) for kind in kinds])
    family = np.concatenate([_folds([e.family for e in kind]) for kind in kinds])
    photo = np.concatenate([_folds([e.photo for e in kind]) for kind in kinds])
    # A kind of one family is divided by products, and one of a single photograph by families alone.
    family = np.where(family < 0, product, family)
    photo = np.where(photo < 0, family, photo)
    probability = np.zeros(len(everything))
    for i, j in np.ndindex(FOLDS, FOLDS):
        judged = np.flatnonzero((family == i) & (photo == j))
        if len(judged):
            forecast = _fit_on(everything, weight, (family != i) & (photo != j), fit)
            probability[judged] = [forecast(everything[int(row)]) for row in judged]
    return Forecasts(probability, _right(everything), weight)


def leave_kind_out(kinds: Kinds, fit: Fit) -> Forecasts:
    """Every episode forecast by a fit on the other kinds of shelves."""
    everything = [e for kind in kinds for e in kind]
    weight = weights(kinds)
    number = np.repeat(np.arange(len(kinds)), [len(kind) for kind in kinds])
    probability = np.zeros(len(everything))
    for kind in range(len(kinds)):
        forecast = _fit_on(everything, weight, number != kind, fit)
        judged = np.flatnonzero(number == kind)
        probability[judged] = [forecast(everything[row]) for row in judged]
    return Forecasts(probability, _right(everything), weight)


def _fit_on(episodes: Sequence[Episode], weight: Doubles, chosen: Flags, fit: Fit) -> Forecast:
    return fit([e for e, inside in zip(episodes, chosen, strict=True) if inside], weight[chosen])


def _right(episodes: Sequence[Episode]) -> Flags:
    return np.array([e.same[e.best] for e in episodes], bool)


def _folds(names: Sequence[str]) -> npt.NDArray[np.int64]:
    """A fold for each name, the same for the same name; -1 when there is only one."""
    known = sorted(set(names))
    if len(known) < 2:
        return np.full(len(names), -1)
    place = {name: number % FOLDS for number, name in enumerate(known)}
    return np.array([place[name] for name in names])


def _similarity(episode: Episode) -> Doubles:
    return features(episode)[:, :1]


def _with_lead(episode: Episode) -> Doubles:
    """N×3: as the runtime, and how far a crop is ahead of the best other one in view (at most 0 for all but one)."""
    s = np.asarray(episode.similarity, np.float64)
    first, second = np.sort(np.append(s, [-1.0, -1.0]))[::-1][:2]
    return np.column_stack([features(episode), s - np.where(s == first, second, first)])


def _with_shelf(episode: Episode) -> Doubles:
    """N×3: as the runtime, and how far a crop is above the view's median, the reference's usual similarity here."""
    s = np.asarray(episode.similarity, np.float64)
    return np.column_stack([features(episode), s - np.median(s)])


def logistic(of: Features) -> Fit:
    """Logistic regression of the most similar crop of each episode."""

    def fit(episodes: Sequence[Episode], weight: Doubles) -> Forecast:
        coefficients, intercept = fit_logistic([of(e)[e.best] for e in episodes], _right(episodes), weight)
        return lambda e: float(sigmoid(np.asarray(of(e)[e.best] @ coefficients + intercept, np.float32)))

    return fit


def isotonic(episodes: Sequence[Episode], weight: Doubles) -> Forecast:
    """Isotonic regression on the cosine (Zadrozny and Elkan, KDD 2002)."""
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    model.fit([e.similarity[e.best] for e in episodes], _right(episodes), sample_weight=weight)
    return lambda episode: float(model.predict([float(episode.similarity[episode.best])])[0])


# What the runtime computes comes first.
METHODS: dict[str, Fit] = {
    "Platt, similarity and number in view": logistic(features),
    "Platt, similarity": logistic(_similarity),
    "isotonic, similarity": isotonic,
    "Platt, with the lead over the next crop": logistic(_with_lead),
    "Platt, with the distance from the view's median": logistic(_with_shelf),
}
SHIPPED = next(iter(METHODS))


def draw(curves: dict[str, Forecasts], path: Path) -> None:
    """A reliability diagram as SVG or PNG: share that was right over probability, the area of a point its weight."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    matplotlib.rcParams["svg.hashsalt"] = "shelfhelp"
    figure, axes = plt.subplots(figsize=(4.4, 4.0), layout="constrained")
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    for (name, forecasts), colour in zip(
        curves.items(), ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"), strict=False
    ):
        points = np.array(forecasts.bins())
        axes.plot(points[:, 0], points[:, 1], color=colour, linewidth=1, label=name)
        axes.scatter(points[:, 0], points[:, 1], s=8 + 300 * points[:, 2], color=colour, alpha=0.6, linewidths=0)
    axes.set(xlabel="probability of the best candidate", ylabel="share that was right", xlim=(0, 1), ylim=(0, 1))
    axes.legend(fontsize=8, loc="upper left", frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)
