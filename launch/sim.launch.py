"""MuJoCo in place of the arm: `ros2 launch ros2_sim2real sim.launch.py robot:=ur5e`."""

from pathlib import Path

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription
from ros2_sim2real import bringup


def generate_launch_description() -> LaunchDescription:
    """Returns the declared arguments, with this situation's defaults, and the nodes."""
    rows = bringup.argument_rows("sim")
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(
                    row.name, default_value=row.default, description=row.text, choices=row.choices
                )
                for row in rows
            ),
            IncludeLaunchDescription(
                str(Path(__file__).with_name("pipeline.launch.py")),
                launch_arguments=[
                    ("situation", "sim"),
                    *((row.name, LaunchConfiguration(row.name)) for row in rows),
                ],
            ),
        ]
    )
