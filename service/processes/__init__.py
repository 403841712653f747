"""The processes of a service: the parent, its workers, and the numbers that they share."""
