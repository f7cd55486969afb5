"""MineRL: tasks of the package minerl as environments (`minerl:TASK`)."""
