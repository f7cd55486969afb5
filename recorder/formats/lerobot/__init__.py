"""LeRobotDataset: export, import, schema."""
