# The operator's image, for people with Docker; `devkit images build` makes the same layout without it.
# From the root of the checkout: docker build -f deploy/docker/operator.Dockerfile -t localhost/dynamo-operator:dev .
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN target="$(rustc -vV | sed -n 's/^host: //p')" \
    && RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --release --target "$target" \
        -p dynamo-operator --bin dynamo-operator \
    && cp "target/$target/release/dynamo-operator" /manager

FROM scratch
COPY --from=build /manager /manager
ENV PATH=/
USER 65532:65532
ENTRYPOINT ["/manager"]
