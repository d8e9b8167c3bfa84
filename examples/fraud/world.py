"""What cards do and which of it is fraud, in three worlds: before, after the covariate shift, after the concept change.

Pure: the generator of random numbers is an argument. A `World` says two independent things. `shifted` moves what the
rows look like and leaves what makes a row fraud alone; `changed` moves what makes a row fraud, and not the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Names = NDArray[np.str_]
Features = dict[str, Floats | Names]

CARDS = 3_000
MERCHANTS = ("grocery", "fuel", "travel", "fashion", "electronics", "gift_cards", "games", "services")
MERCHANT_RISK = np.array([-0.6, -0.4, 0.0, -0.1, 0.5, 0.9, 0.4, -0.3])
COUNTRIES = ("NL", "DE", "FR", "BE", "ES", "US")
DEVICES = ("desktop", "tablet", "phone", "terminal")
CHANNELS = ("web", "app", "wallet")
NUMERIC = (
    "amount", "amount_ratio", "minutes_since_last", "distance_km", "merchant_risk", "velocity_1h", "velocity_24h",
    "card_age_days", "balance", "session_seconds", "typing_speed", "ip_risk",
    "proxy_score", "geo_mismatch_km", "token_reuse", "wallet_share",
)  # fmt: skip
CATEGORICAL = ("merchant_type", "country", "device", "channel")
CONSTANT_AT_FIRST = ("proxy_score", "geo_mismatch_km", "token_reuse", "wallet_share", "channel")
GAIN = 2.6
"""Steepness of the logistic curve from risk to the probability of fraud: how well the best model could do."""
OLD_PART = 0.6
"""How much of the old risk still counts after the concept change."""


@dataclass(frozen=True, slots=True)
class World:
    """Which of the two changes has happened."""

    shifted: bool = False
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Cards:
    """What stays with a card: its usual amount (euros) and its age (days). Both have shape `(CARDS,)`."""

    usual: Floats
    age_days: Floats


def cards(rng: np.random.Generator) -> Cards:
    """Draw the population of cards once per seed, so that a card looks the same in every window."""
    return Cards(usual=np.exp(rng.normal(3.5, 0.7, CARDS)), age_days=rng.gamma(2.0, 400.0, CARDS))


def draw(rng: np.random.Generator, card: NDArray[np.int64], owned: Cards, world: World) -> Features:
    """Draw the features of one row per entry of `card` (indices into `owned`), shape `(len(card),)` per column."""
    columns = _behaviour(rng, card, owned, world) | _newcomers(rng, len(card), world) | _kinds(rng, len(card), world)
    return {name: columns[name] for name in (*NUMERIC, *CATEGORICAL)}


def _behaviour(rng: np.random.Generator, card: NDArray[np.int64], owned: Cards, world: World) -> Features:
    """Columns that always carried information. The shift moves seven of them, most of them not tied to fraud."""
    rows, late = len(card), float(world.shifted)
    ratio = np.exp(rng.normal(0.0, 0.6, rows))
    velocity = rng.poisson(1.2, rows).astype(np.float64)
    return {
        "amount": owned.usual[card] * ratio * (1.0 + 1.4 * late),
        "amount_ratio": ratio,
        "minutes_since_last": rng.exponential(300.0 - 200.0 * late, rows),
        "distance_km": np.exp(rng.normal(2.0 + 0.7 * late, 1.0, rows)),
        "merchant_risk": rng.beta(2.0, 5.0, rows),
        "velocity_1h": velocity,
        "velocity_24h": velocity + rng.poisson(6.0 + 5.0 * late, rows),
        "card_age_days": owned.age_days[card],
        "balance": np.exp(rng.normal(7.0 - 0.9 * late, 0.8, rows)),
        "session_seconds": rng.gamma(3.0, 60.0 - 30.0 * late, rows),
        "typing_speed": rng.normal(5.0 + late, 1.0, rows),
        "ip_risk": rng.beta(2.0, 8.0, rows),
    }


def _newcomers(rng: np.random.Generator, rows: int, world: World) -> Features:
    """Columns that a producer already sends but does not fill yet: all zero until the shift."""
    alive = float(world.shifted)
    return {
        "proxy_score": alive * rng.beta(2.0, 4.0, rows),
        "geo_mismatch_km": alive * np.exp(rng.normal(3.0, 1.0, rows)),
        "token_reuse": alive * rng.poisson(2.5, rows).astype(np.float64),
        "wallet_share": alive * rng.beta(3.0, 3.0, rows),
    }


def _kinds(rng: np.random.Generator, rows: int, world: World) -> Features:
    """Choose the categorical columns. `channel` knows one value until the shift."""
    country = (0.15, 0.15, 0.2, 0.1, 0.15, 0.25) if world.shifted else (0.45, 0.2, 0.1, 0.15, 0.05, 0.05)
    device = (0.15, 0.1, 0.65, 0.1) if world.shifted else (0.5, 0.15, 0.25, 0.1)
    channel = (0.3, 0.45, 0.25) if world.shifted else (1.0, 0.0, 0.0)
    return {
        "merchant_type": rng.choice(MERCHANTS, rows),
        "country": rng.choice(COUNTRIES, rows, p=country),
        "device": rng.choice(DEVICES, rows, p=device),
        "channel": rng.choice(CHANNELS, rows, p=channel),
    }


def probability(columns: Features, world: World) -> Floats:
    """Return the probability that each row is fraud, shape `(rows,)`: a logistic curve on the risk that counts now."""
    known = _known_risk(columns)
    risk = _new_risk(columns) + OLD_PART * known if world.changed else known
    chance: Floats = 1.0 / (1.0 + np.exp(-GAIN * (risk - _threshold(world))))
    return chance


def _known_risk(columns: Features) -> Floats:
    """Say what fraud looked like before: large for the card, far away, at risky merchants, in bursts."""
    at = np.array([MERCHANTS.index(str(name)) for name in columns["merchant_type"]])
    risk: Floats = (
        0.8 * np.log(_number(columns, "amount_ratio")) / 0.6
        + 0.6 * (np.log(_number(columns, "distance_km")) - 2.0)
        + 0.7 * (_number(columns, "merchant_risk") - 0.286) / 0.16
        + 0.5 * (_number(columns, "velocity_1h") - 1.2) / 1.1
        + MERCHANT_RISK[at]
    )
    return risk


def _new_risk(columns: Features) -> Floats:
    """Say what fraud looks like after the concept change: hidden behind proxies, out of place, with reused tokens."""
    risk: Floats = (
        0.9 * (_number(columns, "proxy_score") - 0.333) / 0.18
        + 0.8 * (np.log1p(_number(columns, "geo_mismatch_km")) - 3.0)
        + 0.7 * (_number(columns, "token_reuse") - 2.5) / 1.6
        + 0.8 * (columns["channel"] == "wallet")
    )
    return risk


def _number(columns: Features, name: str) -> Floats:
    return columns[name].astype(np.float64)


def _threshold(world: World) -> float:
    """Return the risk at which fraud is as likely as not, per world; found by search for 15 % positives."""
    if world.changed:
        return 2.38
    return 2.10 if world.shifted else 1.66
