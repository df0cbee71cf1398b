"""Verdict -> world -> RobotState: a simulated or physical arm behind one protocol."""
