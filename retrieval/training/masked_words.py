"""Masked language modelling: guess hidden tokens (Devlin et al. 2019)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from retrieval.errors import EncoderError
from retrieval.training.cached_gradients import MICRO_BATCH_TOKENS
from retrieval.training.trainable import TokenIds, TrainableEncoder, micro_batches

MASKED = 0.15  # of the tokens of a text that are to be guessed
HIDDEN, REPLACED = 0.8, 0.1  # of these: shown as the mask token, and as a random one; the others stay
IGNORED = -100  # target of a token that is not to be guessed


@dataclass(frozen=True, slots=True)
class MaskedWords:
    """The gradients of guessing hidden tokens; the table of tokens scores the guesses."""

    encoder: TrainableEncoder
    texts_of: Callable[[int], Sequence[TokenIds]]  # by the number of the step, the same each time
    mask_id: int
    special_ids: frozenset[int]  # never hidden
    bf16: bool = False

    def take_gradients(self, step: int) -> float:
        """Add the gradients of a step, and return the mean loss of a hidden token."""
        texts = self.texts_of(step)
        count, total = len(texts), 0.0
        for batch in micro_batches(texts, MICRO_BATCH_TOKENS):
            loss = self.loss([texts[i] for i in batch]) * len(batch) / count
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        return total

    def loss(self, texts: Sequence[TokenIds]) -> Tensor:
        """Return the mean cross-entropy of the hidden tokens of texts."""
        encoder = self.encoder
        shown, targets = self._hide(torch.tensor([token for text in texts for token in text]))
        ends = torch.tensor([0, *map(len, texts)]).cumsum(0).tolist()
        hidden = [shown[start:end].tolist() for start, end in pairwise(ends)]
        with torch.autocast(encoder.device.type, torch.bfloat16, enabled=self.bf16):
            states, _ = encoder.states(hidden)
            guessed = targets != IGNORED
            scores = states[guessed.to(encoder.device)] @ encoder.transformer.embeddings.words.weight.T
        return F.cross_entropy(scores.float(), targets[guessed].to(encoder.device))

    @torch.no_grad()
    def held_out_loss(self, texts: Sequence[TokenIds]) -> float:
        """Return the mean loss over texts, with the same tokens hidden each time."""
        state = torch.get_rng_state()
        torch.manual_seed(0)
        batches = [[texts[i] for i in batch] for batch in micro_batches(texts, MICRO_BATCH_TOKENS)]
        losses = [float(self.loss(batch)) * len(batch) for batch in batches]
        torch.set_rng_state(state)
        return sum(losses) / len(texts)

    def _hide(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return the tokens shown, and those to be guessed, at least one: (T,) each."""
        free = ~torch.isin(ids, torch.tensor(sorted(self.special_ids)))
        chosen = free & (torch.rand(len(ids)) < MASKED)
        if not chosen.any():
            chosen[free.nonzero()[:1]] = True
        if not chosen.any():
            raise EncoderError("no text has a token that could be hidden")
        dice = torch.rand(len(ids))
        shown = ids.clone()
        shown[chosen & (dice < HIDDEN)] = self.mask_id
        swapped = chosen & (dice >= HIDDEN) & (dice < HIDDEN + REPLACED)
        vocabulary = self.encoder.transformer.embeddings.words.num_embeddings
        shown[swapped] = torch.randint(vocabulary, (int(swapped.sum()),))
        return shown, ids.masked_fill(~chosen, IGNORED)
