# Attendex with its default encoder; nothing is fetched when it runs.

FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/attendex
ENV PATH=/opt/attendex/bin:$PATH PIP_NO_CACHE_DIR=1
COPY constraints.txt ./
# The CPU build of torch: a fraction of the size of the default one.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --constraint constraints.txt --extra-index-url "$TORCH_INDEX" torch==2.13.0+cpu
COPY pyproject.toml README.md LICENSE ./
COPY retrieval retrieval
COPY indexer indexer
COPY service service
RUN pip install --constraint constraints.txt '.[documents]'

FROM python:3.12-slim
RUN useradd --uid 10001 --create-home attendex && install --directory --owner attendex --group attendex /data
COPY --from=build /opt/attendex /opt/attendex
# The converted encoder is kept beside the collections, so that a new container starts without torch.
ENV PATH=/opt/attendex/bin:$PATH PYTHONUNBUFFERED=1 ATTENDEX_CACHE=/data/.cache
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=4s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/readyz', timeout=3)"]
ENTRYPOINT ["attendex"]
# Other addresses than the machine's own need a key: give ATTENDEX_API_KEY.
CMD ["serve", "/data", "--host", "0.0.0.0"]
