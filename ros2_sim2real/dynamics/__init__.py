"""Models of the arm shared by every stage: rigid bodies by MuJoCo, kinematics."""
