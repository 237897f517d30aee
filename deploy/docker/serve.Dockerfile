# The image of everything that runs in a graph's pods, for people with Docker; `devkit images build` makes the same
# layout without it. One program answers to the names python3 and sh, so that commands of the reference's images run.
# From the root of the checkout: docker build -f deploy/docker/serve.Dockerfile -t localhost/dynamo-serve:dev .
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN target="$(rustc -vV | sed -n 's/^host: //p')" \
    && RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --release --target "$target" \
        -p dynamo-serve --bin dynamo-serve \
    && mkdir -p /rootfs/bin /rootfs/etc /rootfs/usr/bin /rootfs/usr/local/bin /rootfs/tmp /rootfs/workspace /rootfs/home/dynamo \
    && cp "target/$target/release/dynamo-serve" /rootfs/usr/local/bin/dynamo-serve \
    && for link in bin/sh usr/bin/python3 usr/local/bin/python3; do \
        ln -s /usr/local/bin/dynamo-serve "/rootfs/$link"; \
    done \
    && printf 'root:x:0:0:root:/:/bin/sh\ndynamo:x:1000:1000:dynamo:/home/dynamo:/bin/sh\n' > /rootfs/etc/passwd \
    && printf 'root:x:0:\ndynamo:x:1000:\n' > /rootfs/etc/group \
    && if [ -d crates/serve/rootfs ]; then cp -r crates/serve/rootfs/. /rootfs/; fi \
    && chmod 1777 /rootfs/tmp && chmod 0775 /rootfs/workspace \
    && chown 1000:1000 /rootfs/workspace /rootfs/home/dynamo

FROM scratch
COPY --from=build /rootfs /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/home/dynamo
WORKDIR /workspace
USER 1000:1000
ENTRYPOINT ["/usr/local/bin/dynamo-serve"]
