package kubernetes

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"armada"
	"armada/internal/doctor"
	"armada/internal/runs"
	"armada/internal/settings"
)

// LogStorage is where kept logs are.
type LogStorage struct {
	// Folder is one on a volume; empty is logs in the data folder. It is this
	// executor's alone.
	Folder string
	// Bucket, if it is not empty, takes the logs from the folder: one of
	// S3-compatible storage.
	Bucket string
	// Prefix begins the names of the objects; the executor's id follows.
	Prefix string
	// Endpoint is the URL of the storage, such as https://s3.eu-west-1.amazonaws.com.
	Endpoint string
	Region   string
	// AccessKey and SecretKey are who we are there; empty is what AWS_ACCESS_KEY_ID
	// and its like in the environment say, or the role of the machine or pod.
	AccessKey settings.Secret
	SecretKey settings.Secret
	// CAFile has the authorities that its certificate is checked against; empty is
	// those of the system.
	CAFile string
}

func (s LogStorage) validate() error {
	if s.Bucket == "" {
		if s.Endpoint != "" {
			return errors.New("keepLogsIn.bucket: must name one, for there is an endpoint")
		}
		return nil
	}
	var errs []error
	if at, err := url.Parse(s.Endpoint); err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" || strings.Trim(at.Path, "/") != "" {
		errs = append(errs, fmt.Errorf("keepLogsIn.endpoint: must be a URL such as https://s3.eu-west-1.amazonaws.com, is %q", s.Endpoint))
	}
	if s.AccessKey.IsEmpty() != s.SecretKey.IsEmpty() {
		errs = append(errs, errors.New("keepLogsIn.accessKey, keepLogsIn.secretKey: must both be given, or neither"))
	}
	return errors.Join(errs...)
}

// shelf keeps the files of an archive in a bucket. What it costs to be without it
// is the caller's to bound: it repeats a failed request once.
type shelf struct {
	client         *minio.Client
	bucket, prefix string
}

// newShelf does not talk to the storage. It is nil when there is no bucket.
func newShelf(s *LogStorage, executor armada.ExecutorID) (*shelf, error) {
	if s.Bucket == "" {
		return nil, nil
	}
	at, err := url.Parse(s.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	transport, err := storageTransport(s.CAFile)
	if err != nil {
		return nil, fmt.Errorf("caFile: %w", err)
	}
	who := credentials.NewStaticV4(s.AccessKey.Reveal(), s.SecretKey.Reveal(), "")
	if s.AccessKey.IsEmpty() {
		who = credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.IAM{}})
	}
	client, err := minio.New(at.Host, &minio.Options{
		Creds: who, Secure: at.Scheme == "https", Region: s.Region, Transport: transport, MaxRetries: 2,
	})
	if err != nil {
		return nil, err
	}
	return &shelf{client: client, bucket: s.Bucket, prefix: s.Prefix + string(executor) + "/"}, nil
}

// storageTransport trusts the authorities of a file, or of the system.
func storageTransport(caFile string) (*http.Transport, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true // what is kept is compressed
	if caFile == "" {
		return transport, nil
	}
	text, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate", caFile)
	}
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return transport, nil
}

// has tells whether a file is there.
func (s *shelf) has(ctx context.Context, name string) (bool, error) {
	_, err := s.client.StatObject(ctx, s.bucket, s.prefix+name, minio.StatObjectOptions{})
	if notThere(err) {
		return false, nil
	}
	return err == nil, err
}

func notThere(err error) bool { return minio.ToErrorResponse(err).StatusCode == http.StatusNotFound }

// put writes a file, over the one that may be there.
func (s *shelf) put(ctx context.Context, name string, content []byte) error {
	_, err := s.client.PutObject(ctx, s.bucket, s.prefix+name, bytes.NewReader(content), int64(len(content)),
		minio.PutObjectOptions{ContentType: "application/gzip", DisableMultipart: true})
	return err
}

// open reads a file; [runs.ErrUnknownRun] when it is not there.
func (s *shelf) open(ctx context.Context, name string) (io.ReadCloser, error) {
	object, err := s.client.GetObject(ctx, s.bucket, s.prefix+name, minio.GetObjectOptions{})
	if err != nil {
		return nil, err
	}
	if _, err := object.Stat(); err != nil { // the first answer of the storage
		if notThere(err) {
			err = runs.ErrUnknownRun
		}
		return nil, errors.Join(err, object.Close())
	}
	return object, nil
}

// list tells of all files of this executor.
func (s *shelf) list(ctx context.Context) ([]keptFile, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var files []keptFile
	for object := range s.client.ListObjects(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.prefix, Recursive: true}) {
		if object.Err != nil {
			return nil, object.Err
		}
		files = append(files, keptFile{name: strings.TrimPrefix(object.Key, s.prefix), size: object.Size, written: object.LastModified})
	}
	return files, nil
}

func (s *shelf) remove(ctx context.Context, name string) error {
	return s.client.RemoveObject(ctx, s.bucket, s.prefix+name, minio.RemoveObjectOptions{})
}

// storageCheck looks whether the bucket answers.
func storageCheck(ctx context.Context, config *Config) []doctor.Check {
	const name = "kept logs"
	s, err := newShelf(&config.KeepLogsIn, "")
	if s == nil && err == nil {
		return nil
	}
	const help = "logs of pods that are gone would stay in the folder: look at executor.kubernetes.keepLogsIn"
	if err != nil {
		return []doctor.Check{doctor.Good(name, "%v", err).Fail(help)}
	}
	ctx, cancel := context.WithTimeout(ctx, storagePatience)
	defer cancel()
	there, err := s.client.BucketExists(ctx, s.bucket)
	switch {
	case err != nil:
		return []doctor.Check{doctor.Good(name, "bucket %s at %s does not answer: %v", s.bucket, config.KeepLogsIn.Endpoint, err).Fail(help)}
	case !there:
		return []doctor.Check{doctor.Good(name, "there is no bucket %s at %s", s.bucket, config.KeepLogsIn.Endpoint).Fail(help)}
	}
	return []doctor.Check{doctor.Good(name, "bucket %s at %s answers", s.bucket, config.KeepLogsIn.Endpoint)}
}

// storagePatience is how long the storage may take for one file.
const storagePatience = 30 * time.Second
