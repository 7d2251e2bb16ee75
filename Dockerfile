# The service, and the same image for every Ray node:
#   docker build -t omnisift-live:0.1.0-cpu .
#   docker build -t omnisift-live:0.1.0-cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 .
# torch's wheels carry CUDA, and the host brings the driver; Triton, which comes with them, needs a C compiler where it
# runs, to load the kernels that it made.
ARG PYTHON_IMAGE=python:3.11.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY constraints.txt ./
RUN python -m venv /opt/omnisift \
    && /opt/omnisift/bin/python -m pip install -c constraints.txt --index-url "${TORCH_INDEX}" torch
COPY pyproject.toml README.md LICENSE ./
COPY compressor compressor
COPY service service
COPY clients clients
RUN /opt/omnisift/bin/python -m pip install -c constraints.txt .

FROM ${PYTHON_IMAGE}
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# Ray's probes on Kubernetes use wget
# hadolint ignore=DL3008
RUN case "${TORCH_INDEX}" in */cpu) set -- ;; *) set -- gcc libc6-dev ;; esac \
    && apt-get update \
    && apt-get install -y --no-install-recommends wget "$@" \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /tmp omnisift
COPY --from=build /opt/omnisift /opt/omnisift
# the root filesystem may be read-only: all that is written goes to /tmp and /dev/shm
# hadolint ignore=DL3064
ENV PATH=/opt/omnisift/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    RAY_USAGE_STATS_ENABLED=0 \
    TOKENIZERS_PARALLELISM=false \
    OMNISIFT_HOST=0.0.0.0 \
    OMNISIFT_PORT=8000
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s --retries=3 \
    CMD ["wget", "-q", "-T", "2", "-O", "/dev/null", "http://127.0.0.1:8000/healthz"]
CMD ["python", "-m", "service", "serve"]
