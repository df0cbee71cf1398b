"""Past observations: the last moments in one buffer, laid out for the network by one index."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ros2_sim2real.contract import ObservationTerm, PolicyContract, TermHistory

Row = NDArray[np.float32]
Place = tuple[int, int, int]  # number of the term, decisions ago, element of the term


def layout(contract: PolicyContract) -> list[Place]:
    """Returns what stands at every place of the network's input, in order."""
    whole = contract.history
    lags = _lags(whole)
    terms = list(enumerate(contract.observation))
    if whole is not None and whole.layout == "by_term":
        order = [(i, term, lag) for i, term in terms for lag in lags]
    else:
        order = [(i, term, lag) for lag in lags for i, term in terms]
    return [place for i, term, lag in order for place in _block(i, term, lag)]


def _lags(history: TermHistory | None) -> list[int]:
    if history is None:
        return [0]
    newest_first = list(range(history.skip, history.skip + history.length))
    return newest_first if history.order == "newest_first" else newest_first[::-1]


def _block(i: int, term: ObservationTerm, lag: int) -> Iterator[Place]:
    for own in _lags(term.history):
        for element in range(term.width):
            yield i, lag + own, element


class HistoryBuffer:
    """Takes one moment of all terms at every decision, gives the network's input."""

    def __init__(self, contract: PolicyContract) -> None:
        places = layout(contract)
        width = contract.frame_width
        starts = np.cumsum([0, *(term.width for term in contract.observation)])
        depth = 1 + max(lag for _, lag, _ in places)
        self._frames: Row = np.zeros((depth, width), dtype=np.float32)
        self._flat = self._frames.reshape(-1)
        self._index = np.array(
            [(depth - 1 - lag) * width + starts[i] + element for i, lag, element in places],
            dtype=np.intp,
        )
        self._repeat = np.concatenate(
            [np.full(term.width, _repeats(term, contract)) for term in contract.observation]
        )
        self._empty = True

    def reset(self) -> None:
        """Forgets the episode."""
        self._empty = True

    def push(self, frame: Row, out: Row) -> None:
        """Takes the present moment `frame` (nframe,) in and writes the whole input `out` (nobs,).

        `frame` must be finite: it stays here for as many decisions as the history is long.
        """
        if self._empty:
            self._frames[:] = np.where(self._repeat, frame, 0.0)
            self._empty = False
        else:
            self._frames[:-1] = self._frames[1:]
        self._frames[-1] = frame
        np.take(self._flat, self._index, out=out)


def _repeats(term: ObservationTerm, contract: PolicyContract) -> bool:
    history = term.history or contract.history
    return history is None or history.fill == "repeat_first"
