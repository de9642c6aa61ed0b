package bearer

// Algorithm is a signature algorithm by its name in RFC 7518 section 3.1 and RFC
// 8037 section 3.1.
type Algorithm string

// The algorithms. Unsigned tokens have none: "none", in any spelling, cannot be
// configured.
const (
	RS256 Algorithm = "RS256" // RSA PKCS #1 v1.5 with SHA-256
	RS384 Algorithm = "RS384"
	RS512 Algorithm = "RS512"
	PS256 Algorithm = "PS256" // RSA PSS with SHA-256
	PS384 Algorithm = "PS384"
	PS512 Algorithm = "PS512"
	ES256 Algorithm = "ES256" // ECDSA on P-256 with SHA-256
	ES384 Algorithm = "ES384" // on P-384
	ES512 Algorithm = "ES512" // on P-521
	EdDSA Algorithm = "EdDSA" // Ed25519
	HS256 Algorithm = "HS256" // HMAC with SHA-256: whoever verifies can also sign
	HS384 Algorithm = "HS384"
	HS512 Algorithm = "HS512"
)
