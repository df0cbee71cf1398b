"""What a policy sees and commands in training is what it sees and commands on the robot."""

from __future__ import annotations

import numpy as np
import pytest
from builders import write_policy

from ros2_sim2real.correction.base import PassThrough
from ros2_sim2real.dynamics.kinematics import Kinematics
from ros2_sim2real.offline.arms import NOMINAL, ArmBatch
from ros2_sim2real.offline.environment import Environment, EnvironmentConfig
from ros2_sim2real.offline.reach import Reach, ReachConfig
from ros2_sim2real.pipeline import Chain, step
from ros2_sim2real.policy.artefact import load_artefact
from ros2_sim2real.policy.onnx_policy import OnnxPolicy
from ros2_sim2real.robot import load_robot
from ros2_sim2real.safety.gate import Gate
from ros2_sim2real.signals import Goal, RobotState, frozen

CONFIG = EnvironmentConfig(count=3, threads=1, episode_s=20.0)


@pytest.mark.parametrize("robot", ["teach2", "ur5e"])
def test_the_chain_of_a_deployment_sends_what_the_environment_applied(robot, tmp_path):
    spec = load_robot(robot)
    task = Reach(spec, ReachConfig(samples=2000), CONFIG)
    env = Environment(spec, task, CONFIG, NOMINAL, rng=np.random.default_rng(3), stagger=False)
    env.arms.reset(np.arange(3), np.tile(spec.home, (3, 1)))
    env.restart()
    promised, nu = task.contract, spec.nq
    # any policy that looks at everything; slow, so that the gate's ramp at the start never shows
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((promised.observation_width, nu)) * 0.01
    path = write_policy(tmp_path / "policy.onnx", promised, weights)
    policy = OnnxPolicy(load_artefact(path), spec)
    gate = Gate(spec.limits, rate_hz=CONFIG.rate_hz)
    chain = Chain(policy, PassThrough())
    goal = Goal(0, frozen(env.goal[0]), frozen([1.0, 0.0, 0.0, 0.0]))
    for tick in range(150):
        now = round(tick * 1e9 / CONFIG.rate_hz)
        state = RobotState(now, frozen(env.arms.q[0]), frozen(env.arms.dq[0]))
        seen = env.observation[0].copy()
        gate.observe(state, now_ns=now)
        if tick == 0:
            gate.activate(now_ns=now)
        verdict = step(chain, gate, state, goal, now_ns=now)
        np.testing.assert_allclose(policy._observation.out[0], seen, atol=2e-6)
        env.step(env.observation @ weights)
        assert chain.target is not None
        np.testing.assert_allclose(chain.target.q, env.target[0], atol=1e-6)
        np.testing.assert_allclose(verdict.q, env.arms.setpoint[0], atol=1e-6)
    assert np.abs(env.arms.q[0] - state.q).max() > 0.0
    assert np.abs(env.target[0] - spec.home).max() > 0.05  # it moved


@pytest.mark.parametrize("robot", ["teach2", "ur5e", "ur10"])
def test_the_tool_of_the_batch_is_that_of_the_kinematics(robot):
    spec = load_robot(robot)
    rng = np.random.default_rng(0)
    arms = ArmBatch(spec, count=50, rate_hz=50.0, physics_hz=250.0, rng=rng)
    arms.reset(np.arange(50), rng.uniform(spec.limits.lower, spec.limits.upper, (50, spec.nq)))
    for _ in range(
        3
    ):  # after a step too: derived values of a batch are one substep late by default
        kinematics = Kinematics(spec)
        for q, tool in zip(arms.q, arms.tool, strict=True):
            np.testing.assert_allclose(
                kinematics.update(q, np.zeros(spec.nq)).position, tool, atol=1e-9
            )
        arms.step(arms.setpoint + 0.2)
