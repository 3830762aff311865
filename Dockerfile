# embedpipe on a CPU, with the weights of the default backbone. It needs no network at run time.
#
#   docker build --tag embedpipe .
#   docker run --rm --network none --volume "$PWD:/work" --user "$(id -u):$(id -g)" embedpipe demo
#
# The labelling page listens on 127.0.0.1 only. On Linux, give the container the host's network:
#   docker run --rm --network host --volume "$PWD:/work" --user "$(id -u):$(id -g)" \
#     embedpipe label photos/

FROM python:3.11-slim-bookworm

# A build of PyTorch without CUDA needs 0.9 GB of disk instead of 5.3 GB.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY data ./data
COPY embedpipe ./embedpipe
# hadolint ignore=DL3013
RUN pip install --no-cache-dir --index-url "${TORCH_INDEX}" "torch>=2.6" "torchvision>=0.21" \
    && pip install --no-cache-dir ".[openvino]" \
    && rm -rf /src/* \
    && useradd --create-home --uid 1000 embedpipe \
    && install --directory --owner embedpipe /work

USER 1000
WORKDIR /work
ENV PYTHONUNBUFFERED=1 HOME=/tmp
ENTRYPOINT ["embedpipe"]
CMD ["--help"]
