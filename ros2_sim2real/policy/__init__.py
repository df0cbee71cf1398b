"""RobotState -> Target: observation terms, ONNX at run time, scripted policies. No torch."""
