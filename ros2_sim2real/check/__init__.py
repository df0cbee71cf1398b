"""The pre-flight: does what was trained fit the robot, its model and the running graph?"""
