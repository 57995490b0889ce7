# Images of an edge, of a core, and of both as one hub: docker build --target edge . (docs/images.md). They have Node, our files and
# our packages: no shell, no package manager. A test builds all of this in a directory, without Docker (test/images).

# The Node that the tests run on.
ARG NODE_VERSION=24.21.0

FROM node:${NODE_VERSION}-trixie-slim AS node

# The packages, with libSQL's native code. TypeScript comes along as another package's peer, and libSQL for another C library.
FROM node AS core-packages
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts && \
    rm -rf node_modules/.bin node_modules/typescript node_modules/@typescript node_modules/@types node_modules/@libsql/*-musl

# An edge has no native code.
FROM node AS edge-packages
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts && rm -rf node_modules/.bin node_modules/@types

# Runs everything once, so that the images have the compiled code. Node keeps it by user id, and by each file's place beside it.
FROM core-packages AS compiled
COPY cli ./cli
COPY client ./client
COPY core ./core
COPY edge ./edge
COPY shared ./shared
COPY deploy/images ./deploy/images
RUN install -d -m 777 .cache/compiled
USER 65532:65532
ENV NODE_COMPILE_CACHE=/app/.cache/compiled NODE_COMPILE_CACHE_PORTABLE=1
ENV TIDINGS_DATA_DIR=/tmp/first TIDINGS_EDGE_LISTEN=127.0.0.1:0 TIDINGS_CORE_LISTEN=127.0.0.1:0
ENV TIDINGS_EDGE_OPERATING_LISTEN=127.0.0.1:0 TIDINGS_CORE_OPERATING_LISTEN=127.0.0.1:0
RUN mkdir -m 700 /tmp/data && node deploy/images/compile-ahead.ts

# What all images have. The base has glibc, libstdc++, certificates, and nobody but root and 65532.
FROM gcr.io/distroless/cc-debian13:nonroot AS base
LABEL org.opencontainers.image.title="Tidings" \
      org.opencontainers.image.description="A WebSub hub between an event backbone and partners on the open internet" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=node /usr/local/bin/node /usr/local/bin/node
WORKDIR /app
COPY LICENSE package.json ./
COPY shared ./shared
COPY --from=compiled --chmod=555 /app/.cache/compiled ./.cache/compiled
ENV NODE_COMPILE_CACHE=/app/.cache/compiled NODE_COMPILE_CACHE_PORTABLE=1
USER 65532:65532
STOPSIGNAL SIGTERM
# As in shared/runtime/node-flags.ts.
ENTRYPOINT ["/usr/local/bin/node", "--max-semi-space-size=4", "--disable-warning=TimeoutNegativeWarning"]

# It listens for the world, and so starts only when TIDINGS_ACCESS and TIDINGS_HUB_URL are set.
FROM base AS edge
COPY --from=edge-packages /app/node_modules ./node_modules
COPY edge ./edge
ENV TIDINGS_EDGE_LISTEN=0.0.0.0:9191
EXPOSE 9191
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["/usr/local/bin/node", "/app/shared/runtime/healthcheck.ts", "edge"]
CMD ["edge/main.ts"]

# It listens for edges elsewhere, and so starts only with TLS and TIDINGS_EDGE_KEYS.
FROM base AS core
COPY --from=core-packages /app/node_modules ./node_modules
COPY core ./core
COPY --from=compiled --chown=65532:65532 /tmp/data /data
ENV TIDINGS_CORE_LISTEN=0.0.0.0:9192 TIDINGS_DATA_DIR=/data
VOLUME ["/data"]
EXPOSE 9192
HEALTHCHECK --interval=30s --timeout=5s --start-period=5m \
    CMD ["/usr/local/bin/node", "/app/shared/runtime/healthcheck.ts", "core"]
CMD ["core/main.ts"]

# Both in one container, which ends when one of them ends. The core listens on loopback.
FROM base AS hub
COPY --from=core-packages /app/node_modules ./node_modules
COPY cli ./cli
COPY client ./client
COPY core ./core
COPY edge ./edge
COPY --from=compiled --chown=65532:65532 /tmp/data /data
ENV TIDINGS_EDGE_LISTEN=0.0.0.0:9191 TIDINGS_DATA_DIR=/data
VOLUME ["/data"]
EXPOSE 9191
HEALTHCHECK --interval=30s --timeout=5s --start-period=5m \
    CMD ["/usr/local/bin/node", "/app/shared/runtime/healthcheck.ts", "edge"]
CMD ["cli/tidings.ts", "start"]
