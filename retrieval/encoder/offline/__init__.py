"""Model folders made from the files of packages, without the hub."""
