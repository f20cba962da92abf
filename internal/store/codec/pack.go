package codec

import (
	"crypto/sha256"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"armada"
)

var (
	packer   = sync.OnceValues(func() (*zstd.Encoder, error) { return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1)) })
	unpacker = sync.OnceValues(func() (*zstd.Decoder, error) { return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1)) })
)

// PackNodes is AppendNodes compressed with zstd, and the hash of what was
// compressed: equal nodes have equal hashes whatever packed them.
func PackNodes(table armada.ResourceTable, nodes []armada.Node) (packed []byte, hash [sha256.Size]byte, err error) {
	p, err := packer()
	if err != nil {
		return nil, hash, err
	}
	plain := AppendNodes(nil, table, nodes)
	return p.EncodeAll(plain, nil), sha256.Sum256(plain), nil
}

// UnpackNodes reads what PackNodes wrote.
func UnpackNodes(packed []byte, table armada.ResourceTable, executor armada.ExecutorID) ([]armada.Node, error) {
	u, err := unpacker()
	if err != nil {
		return nil, err
	}
	plain, err := u.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("nodes of executor %s: %w", executor, err)
	}
	return DecodeNodes(plain, table, executor)
}
