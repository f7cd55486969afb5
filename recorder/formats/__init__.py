"""Foreign formats: LeRobot, VPT, Bleeding Edge, Doom demos, video clips."""
