"""Systems that an evaluation compares."""
