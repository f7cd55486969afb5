"""Foreign formats: LeRobot, VPT, Bleeding Edge, video clips."""
