"""Foreign formats: LeRobot, VPT, Bleeding Edge, replays of the arena, Doom demos, video clips."""
