#!/bin/bash
# Sources ROS 2, puts this package in front of it, and becomes the command.
set -e
# shellcheck disable=SC1090  # which file it is, the base image decides
source "/opt/ros/$ROS_DISTRO/setup.bash"

# `ros2 launch` runs in the distribution's Python and reads launch files that import this package.
for site in "$SIM2REAL_PREFIX"/lib/python3*/site-packages; do
    export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}"
done
export AMENT_PREFIX_PATH="$SIM2REAL_PREFIX:$AMENT_PREFIX_PATH"
export PATH="$SIM2REAL_PREFIX/bin:$PATH"
export MUJOCO_GL="${MUJOCO_GL:-egl}"
# Shared memory alone: no network sockets. Several machines need FASTDDS_BUILTIN_TRANSPORTS=DEFAULT
# and a network that nobody else is on.
export FASTDDS_BUILTIN_TRANSPORTS="${FASTDDS_BUILTIN_TRANSPORTS:-SHM}"

exec "$@"
