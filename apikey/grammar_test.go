package apikey_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"regexp"

	"github.com/keystile/keystile/apikey"
)

// The grammar of RFC 6750 section 2.1, in words of its own.
var (
	bearerScheme  = regexp.MustCompile("^(?i:bearer)(?:$|[^!#$%&'*+\\-.^_`|~0-9A-Za-z])")
	bearerGrammar = regexp.MustCompile(`^(?i:bearer) +([A-Za-z0-9\-._~+/]+=*)$`)
)

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// finderFunc finds nothing, and tells what it was asked for.
type finderFunc func(...apikey.Digest)

func (f finderFunc) FindByDigest(_ context.Context, digests ...apikey.Digest) (*apikey.Key, error) {
	f(digests...)
	return nil, apikey.ErrNotFound
}
