"""What goes over the wire: requests checked on arrival, answers as the client reads them.  Imports pydantic only."""
