"""Compare the fast implementations of attention with the plain one."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.encoder.model import attention
from retrieval.encoder.model.attention import RowsAttention, SelfAttention, attend_packed, attend_plain, attend_rows
from retrieval.encoder.model.packing import PackedLayout
from tests.retrieval.encoder.rows import in_rows

HEADS, WIDTH = 3, 8

lengths_of_batch = st.lists(st.integers(1, 12), min_size=1, max_size=6)
windows = st.one_of(st.none(), st.integers(0, 14))


def random_qkv(tokens: int, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(tokens, HEADS, WIDTH, generator=generator) for _ in range(3)]


def bias_for(longest: int, wanted: bool) -> torch.Tensor | None:
    return torch.randn(HEADS, longest, longest, generator=torch.Generator().manual_seed(1)) if wanted else None


@settings(max_examples=60, deadline=None)
@given(lengths=lengths_of_batch, window=windows, biased=st.booleans(), seed=st.integers(0, 99))
def test_packed_equals_plain(lengths: list[int], window: int | None, biased: bool, seed: int) -> None:
    layout = PackedLayout(lengths)
    qkv = random_qkv(sum(lengths), seed)
    bias = bias_for(layout.longest, biased)
    expected, weights = attend_plain(*qkv, layout, window=window, bias=bias)
    torch.testing.assert_close(attend_packed(*qkv, layout, window=window, bias=bias), expected, atol=2e-6, rtol=0)
    assert [matrix.shape for matrix in weights] == [(HEADS, n, n) for n in lengths]
    for matrix in weights:
        torch.testing.assert_close(matrix.sum(-1), torch.ones(matrix.shape[:2]))


@settings(max_examples=60, deadline=None)
@given(lengths=lengths_of_batch, window=windows, biased=st.booleans(), shared=st.booleans(), seed=st.integers(0, 99))
def test_rows_equal_plain(lengths: list[int], window: int | None, biased: bool, shared: bool, seed: int) -> None:
    layout = PackedLayout(lengths)
    packed = random_qkv(sum(lengths), seed)
    bias = (lambda n: -0.1 * (torch.arange(n)[:, None] - torch.arange(n)).abs().expand(HEADS, n, n)) if biased else None
    expected, _ = attend_plain(*packed, layout, window=window, bias=bias and bias(layout.longest))
    length = layout.longest + 5 * shared
    rows, targets = in_rows(lengths, length, shared=shared)
    spread = [torch.full((rows.texts.numel(), HEADS, WIDTH), 7.0).index_copy(0, targets, x) for x in packed]
    spread = [x.unflatten(0, rows.texts.shape) for x in spread]
    found = attend_rows(*spread, rows, window=window, bias=bias and bias(length))
    torch.testing.assert_close(found.flatten(0, 1)[targets], expected, atol=2e-6, rtol=0)
    assert not found.isnan().any()


def test_blocks_of_a_long_window_equal_plain() -> None:
    lengths = [attention.LONG_TOKENS + 77, 40]
    layout = PackedLayout(lengths)
    qkv = random_qkv(sum(lengths), 5)
    expected, _ = attend_plain(*qkv, layout, window=16)
    torch.testing.assert_close(attend_packed(*qkv, layout, window=16), expected, atol=2e-6, rtol=0)


def test_a_window_hides_farther_tokens() -> None:
    layout = PackedLayout([9])
    _, (weights,) = attend_plain(*random_qkv(9, 0), layout, window=2)
    apart = (torch.arange(9)[:, None] - torch.arange(9)[None, :]).abs()
    assert bool((weights[:, apart > 2] == 0).all())
    assert bool((weights[:, apart <= 2] > 0).all())


def test_returning_weights_does_not_change_the_answer() -> None:
    torch.manual_seed(0)
    layer = SelfAttention(24, 3, window=2)
    x, layout = torch.randn(10, 24), PackedLayout([3, 7])
    weights: list[list[torch.Tensor]] = []
    torch.testing.assert_close(layer(x, layout, weights=weights), layer(x, layout), atol=2e-6, rtol=0)
    assert [matrix.shape for matrix in weights[0]] == [(3, 3, 3), (3, 7, 7)]


def test_the_exported_layer_equals_the_packed_one() -> None:
    """The exported layer has three projections, and the scale inside the first."""
    torch.manual_seed(0)
    for biased in (True, False):
        layer, lengths = SelfAttention(24, 3, window=2, biased=biased), [3, 7]
        rows, targets = in_rows(lengths, 7, shared=False)
        x = torch.randn(10, 24)
        spread = torch.zeros(14, 24).index_copy(0, targets, x).unflatten(0, (2, 7))
        found = RowsAttention(layer)(spread, rows).flatten(0, 1)[targets]
        torch.testing.assert_close(found, layer(x, PackedLayout(lengths)), atol=2e-6, rtol=0)
