"""Measure and tune a collection: known-item queries, tuning, quantisation, MTEB."""
