"""Apply an upload: read its files, add their documents, keep the originals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from indexer.building.document_changes import ChangeReport
from indexer.building.token_encoding import TokenEncoders
from indexer.building.uploads import FileResult, UploadResult, add_files
from indexer.readers.base.outcomes import FileStatus
from indexer.writing.original_files import keep_originals
from retrieval.errors import AttendexError
from retrieval.index.collection.originals import Original
from service.http.problems import Problem, problem_of
from service.queues.jobs import ChangeJob, Upload
from service.runtime.job_folder import JobFolders
from service.runtime.open_collections import OpenCollections

FEW_FILES, FEW_BYTES = 64, 16 << 20  # up to so many are encoded on one core, beside searches; more take all cores
SHOWN_REASONS = 3


class UploadRunner:
    """Applies uploads.  One thread calls it."""

    def __init__(self, collections: OpenCollections, folders: JobFolders, kept_bytes: int) -> None:
        self._collections = collections
        self._folders = folders
        self._kept_bytes = kept_bytes

    def run(self, job: ChangeJob, upload: Upload, token_encoders: TokenEncoders) -> None:
        """Add the files of a job, and set its result."""
        result = self._add(job, upload, token_encoders) if upload.files else UploadResult(ChangeReport(), ())
        refused = [FileResult(name, FileStatus.FAILED, reason, "") for name, reason in upload.refused]
        _report(job, replace(result, files=(*refused, *result.files)))

    def _add(self, job: ChangeJob, upload: Upload, token_encoders: TokenEncoders) -> UploadResult:
        with self._collections.lease(job.collection) as searcher:
            path, encoder, sparse_encoder = searcher.reader.path, searcher.encoder, searcher.sparse_encoder
        few = len(upload.files) <= FEW_FILES and sum(file.size_bytes for file in upload.files) <= FEW_BYTES
        encoder = encoder.background if few else encoder.bulk
        result = add_files(
            path,
            encoder,
            upload.files,
            self._folders.of(job.path).files_of(job.id),
            watch=job.events.add,
            sparse_encoder=sparse_encoder,
            token_encoders=token_encoders,
        )
        job.events.add("committed", {"generation": result.report.generation})
        return self._keep(job, upload, result) if upload.keep else result

    def _keep(self, job: ChangeJob, upload: Upload, result: UploadResult) -> UploadResult:
        """Keep the originals of files that gave documents; tell those that do not fit."""
        folder = self._folders.of(job.path).files_of(job.id)
        sent = {file.name: (number, file) for number, file in enumerate(upload.files)}
        new: list[tuple[Original, Path]] = []
        for each in result.files:
            if each.is_upload and each.ids:
                number, file = sent[each.name]
                new.append(
                    (Original(each.name, file.sha256, file.size_bytes, each.format, each.ids), folder / str(number))
                )
        try:
            refused = keep_originals(job.path, new, self._kept_bytes)
            reason = f"its original is not kept: those of the collection take {self._kept_bytes:,} bytes at most"
        except AttendexError as error:  # the documents are searchable
            refused, reason = [original for original, _ in new], f"its original is not kept: {problem_of(error).detail}"
        names = {original.name for original in refused}
        told = (
            replace(file, reason=reason) if file.is_upload and file.name in names else file for file in result.files
        )
        return replace(result, files=tuple(told))


def _report(job: ChangeJob, result: UploadResult) -> None:
    """Set the result of a job: it has failed if no file gave a document."""
    unread = [file for file in result.files if file.is_upload and file.status is not FileStatus.READ]
    report = result.report
    job.files = result.files
    job.failures = {each.id: problem_of(each.error) for each in report.failures}
    job.report = replace(report, failed=report.failed + len(unread), failures=())
    if not report.added + report.unchanged:
        reasons = [
            *(f"{file.name}: {file.reason}" for file in unread),
            *(each.detail for each in job.failures.values()),
        ]
        job.problem = Problem(400, "bad_document", f"no document could be read; {'; '.join(reasons[:SHOWN_REASONS])}")
