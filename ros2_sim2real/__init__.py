"""A policy trained in simulation moves a physical arm: ROS 2 deployment and sim-to-real bridge."""

__version__ = "0.1.0"
