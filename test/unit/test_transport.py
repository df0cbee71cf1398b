"""Delay lines: nothing arrives early, nothing is invented, the newest of one step wins."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ros2_sim2real.backends.transport import MAX_SILENCE, CommandLink, DelayLine, StateLink
from ros2_sim2real.worlds import World

SENT = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20)), max_size=40)  # (gap, delay)


@given(SENT)
def test_what_holds_at_a_step_is_what_arrived_last(sent: list[tuple[int, int]]) -> None:
    line: DelayLine[int] = DelayLine()
    now, due = 0, {}
    for number, (gap, delay) in enumerate(sent):
        now += gap
        due[number] = now + delay
    got, expected, holds, should = [], [], None, None
    pending = dict(due)
    now, queue = 0, list(enumerate(sent))
    for step in range(200):
        while queue and now + queue[0][1][0] <= step:
            number, (gap, _) = queue.pop(0)
            now += gap
            line.push(number, due=due[number])
        arrived = line.pop(step)
        holds = holds if arrived is None else arrived
        here = sorted((d, n) for n, d in pending.items() if d == step)
        should = here[-1][1] if here else should
        got.append(holds)
        expected.append(should)
    assert got == expected


@given(st.integers(0, 400), st.floats(1e-4, 1e-2))
def test_a_delay_of_n_steps_arrives_at_the_nth_step(steps: int, dt: float) -> None:
    steps = min(steps, int(1.0 / dt))
    link = CommandLink(World(command_delay=min(1.0, steps * dt)), dt=dt, substeps=4)
    q = np.ones(2)
    link.send(q, step=7, rng=np.random.default_rng(0))
    assert all(link.arrived(step) is None for step in range(7, 7 + steps))
    assert link.arrived(7 + steps) is q
    assert link.arrived(10_000) is None


@given(st.integers(1, 12))
def test_a_repeated_command_arrives_between_its_successors(substeps: int) -> None:
    link = CommandLink(World(command_duplicate=1.0), dt=0.0025, substeps=substeps)
    link.send(np.zeros(1), step=0, rng=np.random.default_rng(0))
    again = [s for s in range(1, 4 * substeps + 4) if link.arrived(s) is not None and s > 0]
    assert link.arrived(0) is None
    assert again[-1] >= max(1, substeps)
    assert again[-1] < 2 * substeps + 1


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.integers(0, 2**32))
def test_chances_draw_the_same_numbers_whatever_is_on(
    drop: float, duplicate: float, seed: int
) -> None:
    rng, plain = np.random.default_rng(seed), np.random.default_rng(seed)
    world = World(command_drop=drop, command_duplicate=duplicate, state_drop=drop)
    for generator, here in ((rng, world), (plain, World())):
        link, states = CommandLink(here, dt=0.01, substeps=1), StateLink(here, period=0.01)
        for step in range(20):
            link.send(np.zeros(1), step=step, rng=generator)
            states.send(generator)
    assert rng.random() == plain.random()


@given(st.floats(0.001, 0.05), st.integers(0, 2**32))
def test_lost_states_never_add_up_to_more_than_the_longest_silence(
    period: float, seed: int
) -> None:
    states, rng = StateLink(World(state_drop=1.0), period=period), np.random.default_rng(seed)
    silent = 0
    for _ in range(500):
        silent = 0 if states.send(rng) else silent + 1
        assert silent * period <= MAX_SILENCE + 1e-9
