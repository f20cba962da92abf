#!/usr/bin/env bash
# Regenerates everything that is made from the .proto files: Go messages, gRPC, the REST gateway,
# and pkg/api/swagger.json. Needs Go only; buf and its plugins are those pinned in tools/go.mod,
# the Kubernetes protos those of the modules pinned in go.mod.
#
#   pkg/api/generate.sh          rewrite the generated files in place
#   pkg/api/generate.sh --check  change nothing; fail when a generated file is not current
#   pkg/api/generate.sh --break  the same as without, also when it breaks clients
#
# What was generated last is kept as descriptors in pkg/api/testdata/wire.binpb. A change of the
# .proto files that takes something away from it, renames or renumbers it is refused.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
go=${GO:-go}

check= break=
case "${1-}" in
"") ;;
--check) check=1 ;;
--break) break=1 ;;
*) echo "usage: $0 [--check | --break]" >&2; exit 2 ;;
esac

work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
bin=$work/bin protos=$work/protos out=$work/out
mkdir -p "$bin" "$protos" "$out"

(cd tools && "$go" build -o "$bin/" \
	github.com/bufbuild/buf/cmd/buf \
	google.golang.org/protobuf/cmd/protoc-gen-go \
	google.golang.org/grpc/cmd/protoc-gen-go-grpc \
	github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-grpc-gateway \
	github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-openapiv2)

# One tree in which every import path is a file path.
mine=$(cd "$root" && find pkg/api internal/wire/submitview -name '*.proto' | LC_ALL=C sort)
for file in $mine; do
	mkdir -p "$protos/$(dirname "$file")"
	cp "$file" "$protos/$file"
done
cp -r "$root/third_party/google" "$protos/google"
"$go" mod download k8s.io/api k8s.io/apimachinery
# folder of the module, folder of ours
kubernetes="
api core/v1
api networking/v1
apimachinery pkg/api/resource
apimachinery pkg/apis/meta/v1
apimachinery pkg/runtime
apimachinery pkg/runtime/schema
apimachinery pkg/util/intstr
"
overrides=
while read -r module folder; do
	[ -n "$module" ] || continue
	path=k8s.io/$module/$folder
	mkdir -p "$protos/$path"
	cp "$("$go" list -m -f '{{.Dir}}' "k8s.io/$module")/$folder/generated.proto" "$protos/$path/generated.proto"
	chmod u+w "$protos/$path/generated.proto"
	overrides+="
    - file_option: go_package
      path: $path
      value: armada/pkg/api/k8s/${folder#pkg/}"
done <<<"$kubernetes"

cat >"$protos/buf.yaml" <<END
version: v2
breaking:
  use: [PACKAGE, WIRE_JSON]
END
cat >"$protos/buf.gen.go.yaml" <<END
version: v2
managed:
  enabled: true
  disable:
    - file_option: go_package
      path: google
    - file_option: go_package
      path: pkg
    - file_option: go_package
      path: internal
  override:$overrides
plugins:
  - local: protoc-gen-go
    out: $out
    opt: [module=armada]
END
cat >"$protos/buf.gen.services.yaml" <<END
version: v2
managed:
  enabled: true
  disable:
    - file_option: go_package
      path: google
    - file_option: go_package
      path: pkg
    - file_option: go_package
      path: internal
  override:$overrides
plugins:
  - local: protoc-gen-go-grpc
    out: $out
    opt: [module=armada]
  - local: protoc-gen-grpc-gateway
    out: $out
    opt: [module=armada, allow_delete_body=true]
  - local: protoc-gen-openapiv2
    out: $out/pkg/api
    strategy: all
    opt:
      - allow_merge=true
      - merge_file_name=swagger
      - allow_delete_body=true
      - openapi_naming_strategy=legacy
      - omit_enum_default_value=false
END

export PATH="$bin:$PATH" BUF_CACHE_DIR="$work/cache"
descriptors=pkg/api/testdata/wire.binpb
(
	cd "$protos"
	if [ -z "$break" ] && [ -e "$root/$descriptors" ]; then
		buf breaking --path pkg/api --against "$root/$descriptors" ||
			{ echo "this would break who speaks the wire as it is; pkg/api/generate.sh --break does it all the same" >&2; exit 1; }
	fi
	mkdir -p "$(dirname "$out/$descriptors")"
	buf build --path pkg/api --exclude-source-info -o "$out/$descriptors"
	buf generate --template buf.gen.go.yaml --path pkg --path internal --path k8s.io
	buf generate --template buf.gen.services.yaml --path pkg
)
"$go" run ./pkg/api/internal/swagger <"$out/pkg/api/swagger.swagger.json" >"$out/pkg/api/swagger.json"
rm "$out/pkg/api/swagger.swagger.json"

stale=0
list() { # the generated files below a folder
	(cd "$1" && find pkg/api internal/wire/submitview \
		\( -name '*.pb.go' -o -name '*.pb.gw.go' -o -path pkg/api/swagger.json -o -path pkg/api/testdata/wire.binpb \) | LC_ALL=C sort)
}
if [ -n "$check" ]; then
	while read -r file; do
		if ! cmp -s "$root/$file" "$out/$file"; then
			echo "not current: $file" >&2
			stale=1
		fi
	done < <({ list "$root"; list "$out"; } | LC_ALL=C sort -u)
	[ "$stale" = 0 ] || { echo "run pkg/api/generate.sh and commit the result" >&2; exit 1; }
	exit 0
fi
list "$root" | while read -r file; do
	[ -e "$out/$file" ] || rm "$root/$file"
done
cp -r "$out/." "$root/"
