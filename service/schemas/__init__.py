"""Wire types of requests, and of answers that the client does not read."""
