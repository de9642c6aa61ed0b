package wycheproof

import (
	"fmt"
	"testing"

	"github.com/keystile/keystile/internal/evidence"
)

// verdict is what a corpus says of a case, and what a library does.
type verdict struct {
	id             int
	comment        string
	want, accepted bool
}

func (v verdict) agrees() bool { return v.want == v.accepted }

func signatures(t *testing.T, file string, by library) []verdict {
	var all []verdict
	for _, g := range load(t, file).Groups {
		for _, v := range g.Tests {
			if v.JWS != nil {
				all = append(all, verdict{v.ID, v.Comment, v.Result == "valid", by.compact(g.keys(), text(v.JWS))})
			}
		}
	}
	return all
}

// encrypted judges JWEs as if none were to be accepted.
func encrypted(t *testing.T, file string, by library) []verdict {
	var all []verdict
	for _, g := range load(t, file).Groups {
		for _, v := range g.Tests {
			if v.JWE != nil {
				all = append(all, verdict{v.ID, v.Comment, false, by.compact(g.keys(), text(v.JWE))})
			}
		}
	}
	return all
}

func macs(alg string) func(t *testing.T, file string, by library) []verdict {
	return func(t *testing.T, file string, by library) []verdict {
		var all []verdict
		for _, g := range load(t, file).Groups {
			for _, v := range g.Tests {
				all = append(all, verdict{v.ID, v.Comment, v.Result == "valid", by.primitive(alg, []byte(v.Key), v.Msg, v.Tag)})
			}
		}
		return all
	}
}

func primitives(alg string) func(t *testing.T, file string, by library) []verdict {
	return func(t *testing.T, file string, by library) []verdict {
		var all []verdict
		for _, g := range load(t, file).Groups {
			key := publicKey(t, &g)
			for _, v := range g.Tests {
				all = append(all, verdict{v.ID, v.Comment, v.Result == "valid", by.primitive(alg, key, v.Msg, v.Sig)})
			}
		}
		return all
	}
}

var files = []struct {
	name      string
	judge     func(t *testing.T, file string, by library) []verdict
	total     int
	agreed    int
	primitive bool
}{
	{"json_web_signature_test.json", signatures, 401, 393, false},
	{"json_web_key_test.json", signatures, 26, 26, false},
	{"json_web_crypto_test.json", signatures, 49, 49, false},
	{"hmac_sha256_test.json", macs("HS256"), 174, 138, true},
	{"hmac_sha512_test.json", macs("HS512"), 174, 138, true},
	{"ed25519_test.json", primitives("EdDSA"), 151, 151, true},
	{"ecdsa_secp256r1_sha256_p1363_test.json", primitives("ES256"), 262, 262, true},
	{"ecdsa_secp384r1_sha384_p1363_test.json", primitives("ES384"), 280, 280, true},
	{"ecdsa_secp521r1_sha512_p1363_test.json", primitives("ES512"), 318, 318, true},
	{"hmac_sha384_test.json", macs("HS384"), 174, 138, true},
	{"rsa_signature_2048_sha256_test.json", primitives("RS256"), 259, 259, true},
	{"rsa_signature_2048_sha384_test.json", primitives("RS384"), 258, 258, true},
	{"rsa_signature_2048_sha512_test.json", primitives("RS512"), 259, 259, true},
	{"rsa_pss_2048_sha256_mgf1_32_test.json", primitives("PS256"), 108, 108, true},
	{"rsa_pss_2048_sha384_mgf1_48_test.json", primitives("PS384"), 141, 141, true},
	{"rsa_pss_4096_sha512_mgf1_64_test.json", primitives("PS512"), 179, 179, true},
}

// slow are the files about curves that have no assembly.
var slow = map[string]bool{"ecdsa_secp384r1_sha384_p1363_test.json": true, "ecdsa_secp521r1_sha512_p1363_test.json": true}

func TestCorpora(t *testing.T) {
	for _, f := range files {
		t.Run(f.name, func(t *testing.T) {
			if slow[f.name] && evidence.Count(0, 1) == 0 {
				t.Skip("slow under the race detector: runs with KEYSTILE_EVIDENCE=1")
			}
			verdicts := f.judge(t, f.name, ours)
			agreed := 0
			for _, v := range verdicts {
				switch excepted := isException(f.name, v.id); {
				case v.agrees() && excepted:
					t.Errorf("%d (%s) is no exception any more", v.id, v.comment)
				case !v.agrees() && !excepted:
					t.Errorf("%d (%s): accepted %v, the corpus says %v", v.id, v.comment, v.accepted, v.want)
				}
				if v.agrees() {
					agreed++
				}
			}
			if len(verdicts) != f.total || agreed != f.agreed {
				t.Errorf("agreed on %d of %d, want %d of %d", agreed, len(verdicts), f.agreed, f.total)
			}
			rows := [][2]string{{ours.name, score(verdicts)}}
			for _, r := range rivals {
				if f.primitive && r.primitive == nil {
					rows = append(rows, [2]string{r.name, "has no door for it"})
					continue
				}
				rows = append(rows, [2]string{r.name, score(f.judge(t, f.name, r))})
			}
			evidence.Report(t, "wycheproof", f.name, rows)
		})
	}
}

// Encrypted tokens are not for this library: every one of them is refused, good or
// bad.
func TestEncryptedTokensAreRefused(t *testing.T) {
	for _, f := range []struct {
		name  string
		total int
	}{{"json_web_encryption_test.json", 139}, {"json_web_crypto_test.json", 34}} {
		verdicts := encrypted(t, f.name, ours)
		for _, v := range verdicts {
			if v.accepted {
				t.Errorf("%s: %d (%s) is accepted", f.name, v.id, v.comment)
			}
		}
		if len(verdicts) != f.total {
			t.Errorf("%s: %d tokens, want %d", f.name, len(verdicts), f.total)
		}
		evidence.Report(t, "wycheproof", f.name+", encrypted tokens", [][2]string{{"refused", fmt.Sprintf("%d of %d", len(verdicts), f.total)}})
	}
}

// What is scored is what bearer does: a whole Authenticator comes to the same
// verdict for every token.
func TestBearerComesToTheSameVerdicts(t *testing.T) {
	through := library{name: "bearer", compact: throughBearer}
	for _, f := range files {
		if f.primitive {
			continue
		}
		expected := signatures(t, f.name, ours)
		for i, v := range signatures(t, f.name, through) {
			if v.accepted != expected[i].accepted {
				t.Errorf("%s: %d (%s): bearer says %v, the harness %v", f.name, v.id, v.comment, v.accepted, expected[i].accepted)
			}
		}
	}
	for _, name := range []string{"json_web_encryption_test.json", "json_web_crypto_test.json"} {
		for _, v := range encrypted(t, name, through) {
			if v.accepted {
				t.Errorf("%s: bearer accepts %d (%s)", name, v.id, v.comment)
			}
		}
	}
}

// score says how many verdicts agree, and which do not.
func score(verdicts []verdict) string {
	agreed := 0
	var lax, strict []int
	for _, v := range verdicts {
		switch {
		case v.agrees():
			agreed++
		case v.accepted:
			lax = append(lax, v.id)
		default:
			strict = append(strict, v.id)
		}
	}
	s := fmt.Sprintf("agrees on %d of %d", agreed, len(verdicts))
	if lax != nil {
		s += fmt.Sprintf("; accepts what it should refuse: %v", lax)
	}
	if strict != nil {
		s += fmt.Sprintf("; refuses what it should accept: %v", strict)
	}
	return s
}
