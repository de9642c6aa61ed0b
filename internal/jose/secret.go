package jose

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
)

// IsPublic reports whether a secret is the text of a key: PEM, with whatever in
// front of it, DER, a JWK or a set of them, a line of OpenSSH. Public keys are
// known to everybody, and to use the text of one as the secret of HMAC is how
// algorithm confusion begins (CVE-2026-33322, CVE-2026-39999). A private key is
// no secret to share either.
func IsPublic(secret []byte) bool {
	text := bytes.TrimSpace(secret)
	if bytes.Contains(text, []byte("-----BEGIN")) || isDER(text) || isDER(secret) {
		return true
	}
	for _, start := range [...]string{"ssh-rsa ", "ssh-ed25519 ", "ecdsa-sha2-"} {
		if bytes.HasPrefix(text, []byte(start)) {
			return true
		}
	}
	if len(text) > 0 && text[0] == '{' && (Member(text, "kty") != nil || Member(text, "keys") != nil) {
		return true
	}
	// What PEM holds, without its first and last line.
	bare := bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("\n"), nil), []byte("\r"), nil)
	der, err := base64.StdEncoding.AppendDecode(nil, bare)
	return err == nil && isDER(der)
}

func isDER(b []byte) bool {
	if len(b) < 32 || b[0] != 0x30 { // a SEQUENCE
		return false
	}
	if _, err := x509.ParsePKIXPublicKey(b); err == nil {
		return true
	}
	if _, err := x509.ParsePKCS1PublicKey(b); err == nil {
		return true
	}
	if _, err := x509.ParseCertificate(b); err == nil {
		return true
	}
	if _, err := x509.ParsePKCS8PrivateKey(b); err == nil {
		return true
	}
	if _, err := x509.ParsePKCS1PrivateKey(b); err == nil {
		return true
	}
	_, err := x509.ParseECPrivateKey(b)
	return err == nil
}
