"""Compare position encodings with their formulas."""

from __future__ import annotations

import math

import torch

from retrieval.encoder.model.positions import RelativeBias, Rotation, SinusoidalPositions


def test_sinusoids_follow_the_formula() -> None:
    table = SinusoidalPositions(6)(torch.arange(50))
    assert table.shape == (50, 6)
    for position, i in ((0, 0), (1, 0), (7, 1), (49, 2)):
        angle = position / 10_000 ** (2 * i / 6)
        assert math.isclose(float(table[position, 2 * i]), math.sin(angle), abs_tol=1e-5)
        assert math.isclose(float(table[position, 2 * i + 1]), math.cos(angle), abs_tol=1e-5)


def test_an_odd_width_ends_with_a_sine() -> None:
    assert SinusoidalPositions(5)(torch.arange(3)).shape == (3, 5)


def test_rotated_products_depend_on_the_distance_alone() -> None:
    q, k = torch.randn(1, 1, 16), torch.randn(1, 1, 16)

    def score(at: int, of: int) -> float:
        rotated = [Rotation.at(torch.tensor([position]), 16, 100.0)(x) for position, x in ((at, q), (of, k))]
        return float((rotated[0] * rotated[1]).sum())

    assert math.isclose(score(3, 5), score(103, 105), abs_tol=1e-4)
    assert math.isclose(float(Rotation.at(torch.tensor([9]), 16, 100.0)(q).norm()), float(q.norm()), rel_tol=1e-5)


def test_relative_bias_depends_on_the_distance_alone() -> None:
    bias = RelativeBias(num_heads=2, buckets=32)(torch.arange(200)).detach()
    assert torch.equal(bias[:, 0, 5], bias[:, 100, 105])
    assert torch.equal(bias[:, 0, 150], bias[:, 20, 170])
    assert not torch.equal(bias[:, 0, 5], bias[:, 5, 0])
