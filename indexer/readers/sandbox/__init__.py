"""Run parsers of foreign formats in processes of their own."""
