"""Command -> Verdict: nothing moves an arm except through here. Imports signals, robot, errors only."""
