FROM python:3.12-slim-bookworm AS build
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.12-slim-bookworm
# llama.cpp's wheel is linked against GNU's OpenMP; bubblewrap isolates document readers and model-written code
RUN apt-get update && apt-get install --yes --no-install-recommends bubblewrap libgomp1 libseccomp2 && rm -rf /var/lib/apt/lists/*
# the dependencies, pinned by version and hash: 'make lock' writes the file
COPY requirements.lock /tmp/requirements.lock
RUN pip install --no-cache-dir --require-hashes --requirement /tmp/requirements.lock && rm /tmp/requirements.lock
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --no-deps /wheels/*.whl && rm -rf /wheels && useradd --create-home desk && mkdir /data && chown desk /data
USER desk
ENV QWENDESK_HOME=/data
VOLUME /data
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('QWENDESK_PORT', '8377') + '/healthz', timeout=4)"]
ENTRYPOINT ["qwendesk"]
CMD ["--help"]
