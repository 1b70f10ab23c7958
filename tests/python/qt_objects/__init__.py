"""Qt's objects in coroutines: signals, slots, things that end, tasks that end with a QObject."""
