"""Wire types: requests that are checked on arrival, and answers.

They import pydantic only.
"""
