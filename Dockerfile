# A tag, so that each build has the fixes of its day. A digest makes a build that can be repeated:
# --build-arg RUST_IMAGE=rust@sha256:…
ARG RUST_IMAGE=rust:1-slim-trixie
FROM ${RUST_IMAGE} AS build
WORKDIR /build
COPY . .

# The caches keep downloaded and compiled dependencies from one build to the next. Cargo compares times to see
# whether a file has changed. These sources may be older than those of another checkout in the cache, so their
# roots are touched.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,id=customer-deletion-target,target=/build/target,sharing=locked \
    touch migrations/build.rs src/lib.rs src/main.rs \
 && cargo build --release --locked \
 && install -D --mode=0555 target/release/customer-deletion /image/usr/local/bin/customer-deletion

# The files that the binary needs at run time: its C libraries, the configuration of name lookups, and the
# certificates of the public authorities. Scanners read the versions of the libraries in the package records.
RUN ldd /image/usr/local/bin/customer-deletion | grep -o '/[^ ]*' \
  | xargs cp --parents --dereference --target-directory=/image \
 && cp --parents --dereference --target-directory=/image \
      /etc/nsswitch.conf /etc/os-release /etc/ssl/certs/ca-certificates.crt \
 && echo 'customer-deletion:x:65532:65532::/nonexistent:/usr/sbin/nologin' >/image/etc/passwd \
 && echo 'customer-deletion:x:65532:' >/image/etc/group \
 && mkdir -p /image/var/lib/dpkg \
 && dpkg-query --status libc6 libgcc-s1 >/image/var/lib/dpkg/status

# The image starts empty, because the service runs no other program. Without a shell and a package manager,
# there are none to attack and none to update. The libraries are Debian's.
FROM scratch
COPY --from=build /image /
# Otherwise the C library raises this threshold after the first large body, and then gives hardly any memory back.
ENV MALLOC_MMAP_THRESHOLD_=131072
USER 65532:65532
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s CMD ["customer-deletion", "healthcheck"]
ENTRYPOINT ["customer-deletion"]
CMD ["serve"]

# The version is the one of Cargo.toml. The builder sets the others: a commit, a time like
# 2026-01-31T12:00:00Z, a URL.
ARG VERSION=0.1.0 REVISION=unknown CREATED=unknown SOURCE=unknown
LABEL org.opencontainers.image.title="customer-deletion" \
      org.opencontainers.image.description="Soft deletion of what a customer manages on a telecom platform, all or nothing" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED" \
      org.opencontainers.image.source="$SOURCE"
