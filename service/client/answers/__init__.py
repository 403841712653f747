"""The answers of the service, as the client reads and the service describes them."""
