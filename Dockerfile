# The image of all nodes, for people without Go:  docker build -t cdnlab .
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# Volumes take the owner of the directory that they are mounted on.
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/cdnlab ./cmd/cdnlab \
 && mkdir -p /out/data /out/keys /out/etc/ssl/certs && chmod 700 /out/data /out/keys \
 && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/

FROM scratch
COPY --from=build --chown=65532:65532 /out/ /
USER 65532:65532
ENTRYPOINT ["/cdnlab"]
CMD ["help"]
