# The image: one binary, the bundled handlers and their machine code. Any OCI builder can make it:
#   docker build -t landfall .
#   buildah bud --isolation chroot -t landfall .
# Tags move. docs/deploy/README.md has the digests for a build that can be repeated.
ARG BUILD_IMAGE=rust:1-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim
FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p landfall \
 && target/release/landfall build plugins --install --out /out/bundled \
 && target/release/landfall precompile --out /out/bundled /out/bundled/*.wasm \
 && cp target/release/landfall /out/landfall
# The runtime image has no package manager step, so that it builds without a network: the roots come from here.
RUN mkdir -p /out/etc/ssl/certs /out/plugins /out/data \
 && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/

FROM ${RUNTIME_IMAGE}
COPY --from=build /out/landfall /usr/local/bin/landfall
COPY --from=build /out/bundled /usr/share/landfall/bundled
COPY --from=build /out/etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# 65532 is nobody in particular: no entry in /etc/passwd, no shell, no home.
COPY --from=build --chown=65532:65532 /out/plugins /plugins
COPY --from=build --chown=65532:65532 /out/data /data
# The last one: the allocator takes memory from the system when it needs it. A node that does nothing has half, at the same speed.
ENV LANDFALL_PLUGINS=/plugins LANDFALL_DATA=/data LANDFALL_BUNDLED=/usr/share/landfall/bundled MIMALLOC_ARENA_EAGER_COMMIT=0
USER 65532:65532
WORKDIR /data
VOLUME ["/plugins", "/data"]
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["landfall"]
CMD ["serve"]
