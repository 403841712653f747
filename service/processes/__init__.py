"""The processes of a service, and the numbers that they share."""
