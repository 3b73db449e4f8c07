FROM python:3.12-slim AS build
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.12-slim
# llama.cpp's wheel is linked against GNU's OpenMP
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
COPY --from=build /wheels /wheels
# what the channels and PostgreSQL need; fewer make a smaller image
ARG EXTRAS=irc,mail,matrix,postgres,slack,telegram,xmpp
RUN pip install --no-cache-dir "$(echo /wheels/*.whl)[$EXTRAS]" && rm -rf /wheels && useradd --create-home desk && mkdir /data && chown desk /data
USER desk
ENV QWENDESK_HOME=/data
VOLUME /data
ENTRYPOINT ["qwendesk"]
CMD ["--help"]
