# vit22b as an image: docker build -t vit22b . && docker run --rm -v "$PWD":/data vit22b predict /data/runs/mine /data/photo.jpg
# The first stage is script/package on a bare Debian, the second installs what it made.
FROM debian:12 AS build
COPY . /vit22b
WORKDIR /vit22b
RUN script/package

FROM debian:12
COPY --from=build /vit22b/build/release/vit22b_*.deb /tmp/
RUN apt-get update && apt-get install -y --no-install-recommends /tmp/vit22b_*.deb && rm -rf /tmp/vit22b_*.deb /var/lib/apt/lists/*
WORKDIR /data
ENTRYPOINT ["vit22b"]
