package jose_test

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/keystile/keystile/internal/jose"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var (
	rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ecKey  = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	edKey  = sync.OnceValue(func() ed25519.PrivateKey { _, k, err := ed25519.GenerateKey(rand.Reader); return must(k, err) })
)

var long = []byte(strings.Repeat("s", 64))

func TestKeysThatAreRefused(t *testing.T) {
	n := rsaKey().N
	for _, tt := range []struct {
		name      string
		algorithm jose.Algorithm
		material  any
		want      string
	}{
		{"an RSA key of 1024 bits", "", &rsa.PublicKey{N: new(big.Int).Rsh(n, 1024), E: 65537}, "shorter than 2048"},
		{"an RSA key of 2047 bits", "", &rsa.PublicKey{N: new(big.Int).Rsh(n, 1), E: 65537}, "shorter than 2048"},
		{"an RSA key of 16384 bits", "", &rsa.PublicKey{N: new(big.Int).Lsh(n, 16384-2048), E: 65537}, "longer than 8192"},
		{"the exponent 1", "", &rsa.PublicKey{N: n, E: 1}, "exponent"},
		{"an even exponent", "", &rsa.PublicKey{N: n, E: 65536}, "exponent"},
		{"an RSA key without a modulus", "", &rsa.PublicKey{E: 65537}, "no *rsa.PublicKey"},
		{"no RSA key at all", "", (*rsa.PublicKey)(nil), "no *rsa.PublicKey"},
		{"a key of P-224", "", &must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)).PublicKey, "P-256"},
		{"no EC key at all", "", (*ecdsa.PublicKey)(nil), "P-256"},
		{"half an Ed25519 key", "", ed25519.PublicKey(make([]byte, 16)), "Ed25519"},
		{"a private RSA key", "", rsaKey(), "private"},
		{"a private EC key", "", ecKey(), "private"},
		{"a private Ed25519 key", "", edKey(), "private"},
		{"a key for ECDH", "", must(ecdh.X25519().GenerateKey(rand.Reader)).PublicKey(), "no *rsa.PublicKey"},
		{"a string", "", "secret", "no *rsa.PublicKey"},
		{"nothing", "", nil, "no *rsa.PublicKey"},
		{"an RSA key for ES256", jose.ES256, &rsaKey().PublicKey, "cannot use"},
		{"an RSA key for HS256", jose.HS256, &rsaKey().PublicKey, "cannot use"},
		{"an EC key of P-256 for ES384", jose.ES384, &ecKey().PublicKey, "cannot use"},
		{"a secret for RS256", jose.RS256, long, "cannot use"},
		{"a key for none", "none", &rsaKey().PublicKey, "cannot use"},
		{"a secret of 31 bytes", "", long[:31], "shorter than the hash"},
		{"a secret of 47 bytes for HS384", jose.HS384, long[:47], "shorter than the hash"},
		{"a secret of 63 bytes for HS512", jose.HS512, long[:63], "shorter than the hash"},
		{"an empty secret", "", []byte{}, "shorter than the hash"},
	} {
		if k, err := jose.NewKey("id", tt.algorithm, tt.material); err == nil || k != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := jose.NewKey("", jose.HS256, long[:32]); err != nil {
		t.Errorf("a secret of 32 bytes for HS256: %v", err)
	}
}

// What is known to everybody is no secret, in whatever form it comes (R22).
func TestPublicKeysAreNoSecrets(t *testing.T) {
	der := must(x509.MarshalPKIXPublicKey(&rsaKey().PublicKey))
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	pkcs1 := x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey)
	jwk := string(must(jose.Publish(must(jose.NewKey("a", jose.RS256, &rsaKey().PublicKey)))))
	ec := must(x509.MarshalPKIXPublicKey(&ecKey().PublicKey))
	for _, tt := range []struct{ name, secret string }{
		{"PEM", text},
		{"PEM behind a space, which a check of the first bytes overlooks", " " + text},
		{"PEM behind a line of text", "# our key\n" + text},
		{"PEM of PKCS #1", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1}))},
		{"the inside of PEM", base64.StdEncoding.EncodeToString(der)},
		{"the inside of PEM in lines", strings.Join(strings.Split(text, "\n")[1:strings.Count(text, "\n")-1], "\r\n")},
		{"DER", string(der)},
		{"DER of an EC key", string(ec)},
		{"DER of PKCS #1", string(pkcs1)},
		{"a private key as DER", string(x509.MarshalPKCS1PrivateKey(rsaKey()))},
		{"a private key as PKCS #8", string(must(x509.MarshalPKCS8PrivateKey(edKey())))},
		{"a private EC key as DER", string(must(x509.MarshalECPrivateKey(ecKey())))},
		{"a JWK Set", jwk},
		{"a JWK without alg", `{"kty":"RSA","n":"` + strings.Repeat("A", 342) + `","e":"AQAB"}`},
		{"a JWK behind a line break", "\n\t" + jwk},
		{"a line of OpenSSH", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ9qkGcJ2Yx3Kx0n0sV9bJw4v1y5iKqH2l3m4n5o6p7q alice@example"},
	} {
		if _, err := jose.NewKey("", jose.HS256, []byte(tt.secret)); err == nil || !strings.Contains(err.Error(), "public key where a secret") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for _, secret := range []string{string(long), "0" + string(long), "{" + string(long), strings.Repeat("MIIB", 16), "whatomate-demo-secret-0123456789abcdef", "0\x82" + strings.Repeat("\x00", 62)} {
		if _, err := jose.NewKey("", jose.HS256, []byte(secret)); err != nil {
			t.Errorf("%q: %v", secret, err)
		}
	}
}

func TestKeysServeWhatTheyAreMadeOf(t *testing.T) {
	keys := map[string]*jose.Key{
		"rsa": must(jose.NewKey("", "", &rsaKey().PublicKey)), "rsa for PS256": must(jose.NewKey("", jose.PS256, &rsaKey().PublicKey)),
		"ec": must(jose.NewKey("", "", &ecKey().PublicKey)), "ed": must(jose.NewKey("", "", edKey().Public())),
		"secret": must(jose.NewKey("", "", long)), "short secret": must(jose.NewKey("", "", long[:48])),
	}
	fits := map[string]string{
		"rsa": "RS256 RS384 RS512 PS256 PS384 PS512", "rsa for PS256": "PS256", "ec": "ES256", "ed": "EdDSA",
		"secret": "HS256 HS384 HS512", "short secret": "HS256 HS384",
	}
	for name, k := range keys {
		var got []string
		for _, a := range []jose.Algorithm{
			"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512",
			"none", "None", "NONE", "", "rs256", "HS1", "ES256K", "RS1", "Ed25519",
		} {
			if k.Fits(a) {
				got = append(got, string(a))
			} else if k.Verify(a, "input", []byte("signature")) == nil {
				t.Errorf("%s verifies %q, which it does not fit", name, a)
			}
		}
		if strings.Join(got, " ") != fits[name] {
			t.Errorf("%s fits %q, want %q", name, got, fits[name])
		}
	}
}

func TestKeysAreCopied(t *testing.T) {
	public := rsaKey().PublicKey
	public.N = new(big.Int).Set(public.N)
	k, same := must(jose.NewKey("", "", &public)), must(jose.NewKey("", "", &rsaKey().PublicKey))
	public.N.SetInt64(15)
	shared := []byte(strings.Repeat("s", 64))
	s, other := must(jose.NewKey("", "", shared)), must(jose.NewKey("", "", long))
	clear(shared)
	if !k.Equal(same) || !s.Equal(other) || k.Equal(s) {
		t.Error("a change of what a key was made of changes the key")
	}
}

func TestKeysPrintNoSecret(t *testing.T) {
	k := must(jose.NewKey("the-id", "", []byte("sssh, "+string(long))))
	for _, text := range []string{fmt.Sprint(k), fmt.Sprintf("%+v %#v %x %q", k, k, k, k), k.LogValue().String()} {
		if strings.Contains(text, "sssh") || strings.Contains(text, fmt.Sprintf("%x", "sssh")) || !strings.Contains(text, "the-id") {
			t.Errorf("%q", text)
		}
	}
}
