"""Wire types: requests and answers.  They import pydantic only."""
