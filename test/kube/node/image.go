//go:build linux

package node

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"runtime"
	"strings"
)

// media types of the OCI image format, https://github.com/opencontainers/image-spec
const (
	mediaManifest = "application/vnd.oci.image.manifest.v1+json"
	mediaConfig   = "application/vnd.oci.image.config.v1+json"
	mediaLayer    = "application/vnd.oci.image.layer.v1.tar"
)

// blob refers to a part of an image by its content.
type blob struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

func refer(mediaType string, content []byte) blob {
	return blob{MediaType: mediaType, Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(content)), Size: len(content)}
}

// archive is a tar archive in memory.
type archive struct {
	bytes.Buffer
	*tar.Writer
}

func newArchive() *archive {
	a := &archive{}
	a.Writer = tar.NewWriter(&a.Buffer)
	return a
}

// file adds a file; errors of memory there are none.
func (a *archive) file(name string, content []byte, mode int64) {
	_ = a.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content))})
	_, _ = a.Writer.Write(content)
}

func (a *archive) folder(name string, mode int64) {
	_ = a.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode})
}

func (a *archive) bytes() []byte {
	_ = a.Close()
	return a.Bytes()
}

// writeImage writes an image of one static program as an archive in the OCI layout,
// which containerd imports. In the image the program has the path that it has
// here, so that a job's command means the same in a container and outside.
func writeImage(file, name, program string) error {
	content, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	layer := newArchive()
	inside := strings.TrimPrefix(program, "/")
	var folders []string
	for dir := path.Dir(inside); dir != "."; dir = path.Dir(dir) {
		folders = append([]string{dir}, folders...)
	}
	for _, dir := range folders {
		layer.folder(dir, 0o755)
	}
	layer.file(inside, content, 0o755)

	image := newArchive()
	add := func(mediaType string, content []byte) blob {
		b := refer(mediaType, content)
		image.file("blobs/"+strings.Replace(b.Digest, ":", "/", 1), content, 0o644)
		return b
	}
	image.file("oci-layout", encode(map[string]string{"imageLayoutVersion": "1.0.0"}), 0o644)
	layerBlob := add(mediaLayer, layer.bytes())
	config := add(mediaConfig, encode(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": []string{program}, "Cmd": []string{"wait"}, "WorkingDir": "/"},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{layerBlob.Digest}},
	}))
	manifest := add(mediaManifest, encode(map[string]any{
		"schemaVersion": 2, "mediaType": mediaManifest, "config": config, "layers": []blob{layerBlob},
	}))
	manifest.Annotations = map[string]string{"io.containerd.image.name": name}
	image.file("index.json", encode(map[string]any{"schemaVersion": 2, "manifests": []blob{manifest}}), 0o644)
	return os.WriteFile(file, image.bytes(), 0o644)
}

// encode writes what is sure to have a form in JSON.
func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}
