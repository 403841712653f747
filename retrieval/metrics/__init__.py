"""Measures, significance, run and qrels files, evaluation."""
