"""Records that every part of the readers uses: options, origins and outcomes."""
