"""Side-by-side runs: Vidloom, its limit and its peers on the same work, interleaved. `python -m side_by_side --help`."""
