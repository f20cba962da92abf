package kubetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// Authority is the certificate authority of a cluster, good for a day. Its folder
// has ca.crt, sa.key, which signs what service accounts show, and a NAME.crt and
// NAME.key of everybody that it has signed.
type Authority struct {
	folder string
	ips    []net.IP
	key    *ecdsa.PrivateKey
	ca     *x509.Certificate
	serial atomic.Int64
}

// NewAuthority makes an authority in a folder. What it signs may serve at the
// addresses.
func NewAuthority(folder string, ips ...net.IP) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kubetest"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	a := &Authority{folder: folder, ips: ips, key: key, ca: ca}
	return a, errors.Join(a.write("ca.crt", "CERTIFICATE", der), a.writeKey("sa.key", key))
}

// Sign makes NAME.crt and NAME.key, with which somebody may call and serve.
func (a *Authority) Sign(name string, subject pkix.Name) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1 + a.serial.Add(1)), Subject: subject, NotBefore: a.ca.NotBefore, NotAfter: a.ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		IPAddresses: a.ips, DNSNames: []string{"localhost"},
	}, a.ca, &key.PublicKey, a.key)
	if err != nil {
		return err
	}
	return errors.Join(a.write(name+".crt", "CERTIFICATE", der), a.writeKey(name+".key", key))
}

func (a *Authority) writeKey(file string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return a.write(file, "EC PRIVATE KEY", der)
}

func (a *Authority) write(file, kind string, der []byte) error {
	return os.WriteFile(filepath.Join(a.folder, file), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
