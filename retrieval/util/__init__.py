"""Utilities of all packages: files, arrays, intervals, cores, the terminal."""
