"""Utilities that every package uses: files, cores, the terminal."""
