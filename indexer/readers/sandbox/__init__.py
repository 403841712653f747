"""Run parsers in processes of their own, under limits."""
