"""The nodes of a bring-up, as `ros2_sim2real.bringup` lists them; included by the other files."""

from launch.actions import GroupAction, LogInfo, OpaqueFunction, SetEnvironmentVariable, Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node, PushROSNamespace

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from ros2_sim2real import bringup


def _nodes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Returns one process per row of the plan: values decide which nodes exist."""
    situation = LaunchConfiguration("situation").perform(context)
    given = {
        name: LaunchConfiguration(name).perform(context) for name in bringup.Arguments.model_fields
    }
    plan = bringup.plan(bringup.arguments_from_text(situation, given))
    return [
        *(LogInfo(msg=f"check: {warning}") for warning in plan.warnings),
        *(
            SetEnvironmentVariable(name, value)
            for name, value in plan.missing_environment().items()
        ),
        GroupAction(
            [
                PushROSNamespace(plan.namespace),
                *(
                    Node(
                        package="ros2_sim2real",
                        executable=node.executable,
                        name=node.executable,
                        parameters=[node.parameters],
                        output="screen",
                        on_exit=Shutdown(reason=f"{node.executable} ended"),
                    )
                    for node in plan.nodes
                ),
            ]
        ),
    ]


def generate_launch_description() -> LaunchDescription:
    """Returns the graph; expects `situation` and every bring-up argument to be set."""
    return LaunchDescription([OpaqueFunction(function=_nodes)])
