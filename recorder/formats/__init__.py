"""Foreign formats: LeRobot, VPT, video clips."""
