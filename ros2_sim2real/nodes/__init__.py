"""The only folder that imports ROS: thin shells around the stages."""
