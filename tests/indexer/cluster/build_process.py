"""A process that builds on a cluster, to be killed: `build_process.py ADDRESS SOURCES INTO SHARDS`."""

import sys
from pathlib import Path

from indexer.building.pipeline import BuildSettings, build_collection
from indexer.cluster.engine import cluster_engine
from indexer.writing import sharded_writer
from indexer.writing.pending_generation import SegmentLimits


def small_segments(*_: object) -> SegmentLimits:
    """Finish a segment often, so that most kills leave some to resume."""
    return SegmentLimits(passages=16)


if __name__ == "__main__":
    address, sources, into, shards = sys.argv[1:]
    sharded_writer._limits = small_segments
    with cluster_engine(address) as engine:
        build_collection([sources], Path(into), BuildSettings(shards=int(shards), sync=True), engine=engine)
