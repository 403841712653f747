"""Encode passages on a cluster: one encoder for each machine or GPU.

The build tokenises texts and plans batches as it does without a cluster, and sends the batches to free workers.  Each
batch holds the same texts as it would in one process, so that the vectors are equal, bit by bit.
"""

from __future__ import annotations

from queue import SimpleQueue
from typing import Any

from indexer.cluster.messages import decode, encode
from retrieval.encoder.loading import load_recorded_encoder
from retrieval.encoder.local_encoder import LocalEncoder
from retrieval.encoder.runtime.base import Runtime
from retrieval.encoder.runtime.token_batches import TokenBatch
from retrieval.errors import ClusterError
from retrieval.types import EncoderFingerprint, Vectors

RESTARTS = 3  # of one worker during a build
READER_CPUS = 0.25  # of a task that parses a file; see reader_tasks.py
RESERVED_CPUS = 0.5  # of a machine that an encoder leaves to these tasks


class EncoderWorker:
    """An encoder in a process of its own; Ray calls it from several threads."""

    def __init__(self, request: bytes) -> None:
        fingerprint, runtime, precision = decode(request)
        self._encoder = load_recorded_encoder(fingerprint, runtime=runtime, precision=precision, bulk=True)

    def describe(self) -> bytes:
        """Return what decides the vectors: fingerprint, runtime, precision."""
        return encode([self._encoder.fingerprint, _computation(self._encoder.runtime)])

    def run(self, request: bytes) -> bytes:
        """Return the vectors of one batch of tokens."""
        assert isinstance(self._encoder, LocalEncoder)
        return encode(self._encoder.runtime.run(decode(request)))


def _computation(runtime: Any) -> str:
    return f"{runtime.name} with {runtime.precision}"


class ClusterRuntime:
    """A `Runtime` whose batches run on the workers of a cluster."""

    def __init__(self, like: Runtime, ray: Any, workers: list[Any]) -> None:
        self.name = like.name
        self.precision = like.precision
        self.budget_tokens = like.budget_tokens
        self.streams = like.streams  # decides which texts share a batch, and so the bits of vectors
        self._like = like
        self._ray = ray
        self._free: SimpleQueue[Any] = SimpleQueue()
        for _ in range(like.streams):
            for worker in workers:
                self._free.put(worker)
        self.concurrency = like.streams * len(workers)

    def run(self, batch: TokenBatch, *, save_cpu: bool = False) -> Vectors:  # noqa: ARG002  workers have their cores
        """Encode a batch on a free worker.  Raises ClusterError."""
        worker = self._free.get()
        try:
            vectors: Vectors = decode(self._ray.get(worker.run.remote(encode(batch))))
        except self._ray.exceptions.RayError as error:
            raise ClusterError(
                f"an encoder of the cluster ended: {_first_line(error)}; run the command again"
            ) from error
        finally:
            self._free.put(worker)
        return vectors

    def background(self) -> Runtime:
        return self._like.background()


class ClusterEncoder(LocalEncoder):
    """The encoder of a build, whose batches run on a cluster."""

    @property
    def concurrency(self) -> int:
        assert isinstance(self.runtime, ClusterRuntime)
        return self.runtime.concurrency


def on_cluster(encoder: LocalEncoder, ray: Any) -> ClusterEncoder:
    """Start the workers of an encoder, and return it.  Raises ClusterError."""
    runtime = encoder.runtime
    request = encode([encoder.fingerprint, str(runtime.name), str(runtime.precision)])
    worker = ray.remote(EncoderWorker)
    options = {"max_concurrency": runtime.streams, "max_restarts": RESTARTS, "max_task_retries": RESTARTS}
    workers = [worker.options(**options, **place).remote(request) for place in places(ray)]
    try:
        described = [decode(each) for each in ray.get([each.describe.remote() for each in workers])]
    except ray.exceptions.RayError as error:
        raise ClusterError(f"an encoder of the cluster does not start: {_first_line(error)}") from error
    for fingerprint, computation in described:
        _check_equal(encoder, fingerprint, computation)
    cluster = ClusterRuntime(runtime, ray, workers)
    return ClusterEncoder(encoder.folder, encoder.tokenizer, cluster, encoder.fingerprint, encoder.inspector)


def _check_equal(encoder: LocalEncoder, fingerprint: EncoderFingerprint, computation: str) -> None:
    """Raise ClusterError if a worker would make other vectors than `encoder`."""
    own = _computation(encoder.runtime)
    if computation != own:
        raise ClusterError(
            f"machines of the cluster run {computation} and {own}, whose vectors differ; give --runtime and "
            "--precision that all of them have"
        )
    if differences := encoder.fingerprint.differences(fingerprint):
        raise ClusterError(
            f"machines of the cluster have different encoders of the name {encoder.fingerprint.name!r} "
            f"({'; '.join(differences)}); give all of them the same files"
        )


def places(ray: Any) -> list[dict[str, Any]]:
    """Return the options of each encoder: one for each GPU, else for each machine."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    found = []
    for node in ray.nodes():
        resources = node["Resources"] if node["Alive"] else {}
        strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=True)
        if gpus := int(resources.get("GPU", 0)):
            found += [{"num_gpus": 1, "num_cpus": READER_CPUS, "scheduling_strategy": strategy}] * gpus
        elif resources.get("CPU", 0) >= 1:
            cpus = resources["CPU"] - RESERVED_CPUS
            found.append({"num_gpus": 0, "num_cpus": int(cpus) or cpus, "scheduling_strategy": strategy})
    with_gpu = [each for each in found if each["num_gpus"]]
    if not found:
        raise ClusterError("the cluster has no machine with a CPU; start one with `ray start`")
    return with_gpu or found


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
